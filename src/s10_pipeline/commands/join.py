"""The command ``python -m s10_pipeline join``: start processes that take part in a training of another host."""

import click


@click.command()
@click.argument("address", metavar="HOST:PORT")
def join(address: str) -> None:
    """Join the training that kedro run started on another host with train.distributed.rendezvous=HOST:PORT."""
    # import the module only when the command runs, because it imports torch, which takes seconds
    from ..vision.distributed.hosts import join as take_part

    take_part(address)

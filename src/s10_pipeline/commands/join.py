"""The command ``python -m s10_pipeline join``: run processes of a training that another host started."""

import click


@click.command()
@click.argument("address", metavar="HOST:PORT")
def join(address: str) -> None:
    """Join the training that kedro run started on another host with train.distributed.rendezvous=HOST:PORT."""
    from ..vision.distributed.hosts import join as take_part  # imported only here, because torch is slow to import

    take_part(address)

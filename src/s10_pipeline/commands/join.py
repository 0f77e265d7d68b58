"""The command ``python -m s10_pipeline join``: let this host take part in a training that another host started."""

import click


@click.command()
@click.argument("address", metavar="HOST:PORT")
def join(address: str) -> None:
    """Take part in the training of the kedro run with train.distributed.rendezvous=HOST:PORT, on another host."""
    from ..vision.distributed.hosts import join as take_part  # torch takes a while to import

    take_part(address)

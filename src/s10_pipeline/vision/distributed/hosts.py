"""Training on several hosts: the first one runs ``kedro run``, the others ``python -m s10_pipeline join HOST:PORT``.

The first host keeps a key-value store at HOST:PORT. In each launch the hosts' elastic agents meet there
(https://docs.pytorch.org/docs/stable/elastic/rendezvous.html). A host that loses the others waits for the next launch.
"""

import json
import logging
import socket
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.rendezvous.api import RendezvousError

from ...identity.digests import digest_of
from ..device import choose_device, choose_precision
from ..errors import UserError, one_line
from ..progress import Show
from ..training.checks import check_device
from ..training.engine import Job
from ..training.params import TrainParams, split_address
from ..training.run_key import training_code
from .launcher import WAIT_SECONDS, LostError, Meeting, Place, launch, train_in_processes

log = logging.getLogger(__name__)


def train_with_other_hosts(job: Job, show: Show) -> None:
    """Train as :func:`.launcher.train_in_processes`, with the processes of hosts that join.

    Raises:
        UserError, RuntimeError: as there; or the hosts did not meet within the time limit, or cannot.
    """
    # every host takes what was chosen here
    chosen = {"device": job.device.type, "precision": choose_precision(job.params.precision, job.device).name}
    job = replace(job, params=job.params.model_copy(update=chosen))
    address, num_nodes = str(job.params.distributed.rendezvous), job.params.distributed.num_nodes
    store = _open_store(address)
    store.set("place", json.dumps({"params": job.params.model_dump(mode="json"), "code": digest_of(training_code())}))

    def meet() -> Meeting:
        store.set("launch", name := uuid4().hex)
        log.info("waiting for the other hosts: python -m s10_pipeline join %s", address)
        return Meeting(address, name, split_address(address)[0])

    try:
        train_in_processes(job, show, meet)
    except RendezvousError as error:
        what = f"so many hosts did not meet at {address} within {WAIT_SECONDS} s"
        remedy = f"start the same command again, and python -m s10_pipeline join {address} on each other host"
        done = f"it goes on after epoch {job.checkpoints.last_epoch()}"
        raise UserError(f"train.distributed.num_nodes={num_nodes}: {what}; {remedy}: {done}") from error


def join(address: str) -> None:
    """Take part in the training of the ``kedro run`` whose rendezvous is ``address``, until it has ended.

    Raises:
        UserError: no training is there within the time limit; this host has no such device, other code or other data.
        RuntimeError: any other error of a process, with its traceback.
    """
    name = ""
    while True:
        name, place = _next_launch(address, name)
        params = TrainParams.model_validate(place["params"])
        device = choose_device(params.device)
        check_device(params, device)
        if place["code"] != digest_of(training_code()):
            raise UserError(f"join {address}: the run there has other code; install the same version on both hosts")
        log.info("taking part in the training at %s", address)
        # torch ranks hosts by their names as text, and the first host's processes must be first. Nobody connects to
        # the others by name, so theirs begin with a character that sorts behind those of addresses.
        meeting = Meeting(address, name, f"~{socket.gethostname()}")
        try:
            launch(Place(params, device), lambda *_: None, meeting)
            return
        except (LostError, RendezvousError) as error:
            log.warning("%s; waiting for the run at %s to go on", one_line(error), address)


def _open_store(address: str) -> TCPStore:
    """Listen at an address of this host.

    Raises:
        UserError: the port is taken, or the address is another host's.
    """
    host, port = split_address(address)
    try:
        store = TCPStore("localhost", port, is_master=True, wait_for_workers=False)
        socket.create_connection((host, port), timeout=WAIT_SECONDS).close()
    except (OSError, DistError) as error:
        what = f"no host can join there ({one_line(error)})"
        remedy = "give an address of this host and a free port"
        raise UserError(f"train.distributed.rendezvous={address}: {what}; {remedy}") from error
    return store


def _next_launch(address: str, before: str) -> tuple[str, dict[str, Any]]:
    """Wait for a launch that is not the one ``before``; return its name and what its processes need.

    Raises:
        UserError: none came within the time limit.
    """
    host, port = split_address(address)
    deadline, reason = time.monotonic() + WAIT_SECONDS, "the run there does not go on"
    while (left := deadline - time.monotonic()) > 0:
        try:
            socket.create_connection((host, port), timeout=left).close()  # torch would print each failure
            store = TCPStore(host, port, wait_for_workers=False, timeout=timedelta(seconds=left))
            if (name := store.get("launch").decode()) != before:
                return name, json.loads(store.get("place"))
        except (OSError, DistError) as error:
            reason = one_line(error)
        time.sleep(0.5)
    what = f"no training to take part in within {WAIT_SECONDS} s ({reason})"
    remedy = f"start kedro run with train.distributed.rendezvous={address} there, then this command again"
    raise UserError(f"join {address}: {what}; {remedy}")

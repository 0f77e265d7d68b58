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

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.rendezvous.api import RendezvousError

from ...identity.digests import digest_of
from ..device import choose_device, choose_precision
from ..errors import UserError, one_line
from ..progress import Show
from ..training.checkpoints import OnEpoch
from ..training.checks import check_device
from ..training.engine import Job
from ..training.params import TrainParams, split_address
from ..training.run_key import training_code
from .launcher import WAIT_SECONDS, LostError, Meeting, Place, launch, train_in_processes

log = logging.getLogger(__name__)


def train_with_other_hosts(job: Job, show: Show, on_epoch: OnEpoch) -> None:
    """Train as :func:`.launcher.train_in_processes`, with the processes of hosts that join.

    Raises:
        UserError, RuntimeError: as there; or the hosts did not meet within the time limit, or cannot.
    """
    # every host takes what was chosen here
    chosen = {"device": job.device.type, "precision": choose_precision(job.params.precision, job.device).name}
    job = replace(job, params=job.params.model_copy(update=chosen))
    address, num_nodes = str(job.params.distributed.rendezvous), job.params.distributed.num_nodes
    store = _open_store(address)
    told = {"params": job.params.model_dump(mode="json"), "code": digest_of(training_code())}

    def meet() -> Meeting:
        store.set("launch", json.dumps({"name": (name := str(time.time_ns())), **told}))
        log.info("waiting for the other hosts: python -m s10_pipeline join %s", address)
        return Meeting(address, name, split_address(address)[0])

    try:
        train_in_processes(job, show, on_epoch, meet)
    except (RendezvousError, DistError) as error:
        what = f"train.distributed.num_nodes={num_nodes}: so many hosts did not meet at {address} in {WAIT_SECONDS} s"
        remedy = f"start the same command again, and python -m s10_pipeline join {address} on each other host"
        raise UserError(f"{what}; {remedy}: it goes on after epoch {job.checkpoints.last_epoch()}") from error


def join(address: str) -> None:
    """Take part in the training of the ``kedro run`` whose rendezvous is ``address``, until it has ended.

    Raises:
        UserError: no training is there within the time limit; this host has no such device, other code or other data.
        RuntimeError: any other error of a process, with its traceback.
    """
    told: dict[str, Any] = {"name": None}
    while True:
        told = _next_launch(address, told["name"])
        params = TrainParams.model_validate(told["params"])
        device = choose_device(params.device)
        check_device(params, device)
        if told["code"] != digest_of(training_code()):
            raise UserError(f"join {address}: the run there has other code; install the same version on both hosts")
        log.info("taking part in the training at %s", address)
        # torch ranks hosts by their names as text, and the first host's processes must be first. Nobody connects to
        # the others by name, so theirs begin with a character that sorts behind those of addresses.
        meeting = Meeting(address, told["name"], f"~{socket.gethostname()}")
        try:
            launch(Place(params, device), lambda *_: None, lambda _row: None, meeting)
            return
        # torch's launcher raises AttributeError on a host that waited in vain for another one's place
        except (LostError, RendezvousError, DistError, AttributeError) as error:
            log.warning("this host lost the others (%s); waiting for the run at %s to go on", one_line(error), address)


def _open_store(address: str) -> TCPStore:
    """Listen at an address of this host.

    Raises:
        UserError: the port is taken, or the address is another host's.
    """
    try:
        # of several tenants, since a failed training of this process may still be held by its traceback
        store = TCPStore("localhost", split_address(address)[1], None, True, wait_for_workers=False, multi_tenant=True)
        socket.create_connection(split_address(address), timeout=WAIT_SECONDS).close()
    except (OSError, DistError) as error:
        what = f"no host can join there ({one_line(error)}); give an address of this host and a free port"
        raise UserError(f"train.distributed.rendezvous={address}: {what}") from error
    return store


def _next_launch(address: str, before: str | None) -> dict[str, Any]:
    """Wait for a launch that is not the one ``before``; return its name, parameters and digest of the code.

    Raises:
        UserError: none came within the time limit.
    """
    deadline, reason = time.monotonic() + WAIT_SECONDS, "the run there does not go on"
    while (left := deadline - time.monotonic()) > 0:
        try:
            socket.create_connection(split_address(address), timeout=left).close()  # torch would print each failure
            store = TCPStore(*split_address(address), wait_for_workers=False, timeout=timedelta(seconds=left))
            told: dict[str, Any] = json.loads(store.get("launch"))
            if told["name"] != before:
                return told
        except (OSError, DistError) as error:
            reason = one_line(error)
        time.sleep(0.5)
    remedy = f"start kedro run with train.distributed.rendezvous={address} there, then this command again"
    raise UserError(f"join {address}: no training to take part in within {WAIT_SECONDS} s ({reason}); {remedy}")

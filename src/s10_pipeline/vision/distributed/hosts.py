"""Train on several hosts: the first one runs ``kedro run``, the others ``python -m s10_pipeline join HOST:PORT``.

The first host serves a key-value store at HOST:PORT, in which PyTorch's elastic agents of all hosts rendezvous at each
launch (https://docs.pytorch.org/docs/stable/elastic/rendezvous.html). A host that loses its connection to the others
waits for the next launch.
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
    """Train like :func:`.launcher.train_in_processes`, but in processes of this host and of hosts that join.

    Raises:
        UserError, RuntimeError: those of :func:`.launcher.train_in_processes`.
        UserError: the other hosts did not join within :data:`.launcher.WAIT_SECONDS`, or cannot reach the rendezvous.
    """
    # device and precision may be "auto", so the first host chooses and all hosts use its choice
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
        what = f"train.distributed.num_nodes={num_nodes}: this many hosts did not meet at {address} in {WAIT_SECONDS} s"
        remedy = f"start the same command again, and python -m s10_pipeline join {address} on each other host"
        epoch = job.checkpoints.last_epoch() + 1
        raise UserError(f"{what}; {remedy}, to train from epoch {epoch} on") from error


def join(address: str) -> None:
    """Run this host's processes of the training whose rendezvous is ``address``; return when it has ended.

    Raises:
        UserError: no training was announced there within :data:`.launcher.WAIT_SECONDS`, or this host lacks its device,
            code version or data.
        RuntimeError: any other error of a process, with its traceback.
    """
    told: dict[str, Any] = {"name": None}
    while True:
        told = _next_launch(address, told["name"])
        params = TrainParams.model_validate(told["params"])
        device = choose_device(params.device)
        check_device(params, device)
        if told["code"] != digest_of(training_code()):
            raise UserError(f"join {address}: the run there has another code version; install the same on both hosts")
        log.info("joining the training at %s", address)
        # torch sorts hosts by name, and rank 0 must be on the first host. "~" sorts after all characters of addresses,
        # and no host connects to a joining one by this name, so the name need not be an address.
        meeting = Meeting(address, told["name"], f"~{socket.gethostname()}")
        try:
            launch(Place(params, device), lambda *_: None, lambda _row: None, meeting)
            return
        # torch's launcher raises AttributeError if it waited for a free place until the time limit
        except (LostError, RendezvousError, DistError, AttributeError) as error:
            log.warning("training was interrupted (%s); waiting for the run at %s to resume", one_line(error), address)


def _open_store(address: str) -> TCPStore:
    """Return a key-value store that listens at ``address``.

    Raises:
        UserError: the port is in use, or the address is not this host's.
    """
    try:
        # multi_tenant, because the traceback of a failed training in this process may still hold a store on this port
        store = TCPStore("localhost", split_address(address)[1], None, True, wait_for_workers=False, multi_tenant=True)
        socket.create_connection(split_address(address), timeout=WAIT_SECONDS).close()
    except (OSError, DistError) as error:
        what = f"no host can join there ({one_line(error)}); give an address of this host and a free port"
        raise UserError(f"train.distributed.rendezvous={address}: {what}") from error
    return store


def _next_launch(address: str, before: str | None) -> dict[str, Any]:
    """Wait for a launch with another name than ``before``; return its name, parameters and code digest.

    Raises:
        UserError: none was announced within :data:`.launcher.WAIT_SECONDS`.
    """
    deadline, reason = time.monotonic() + WAIT_SECONDS, "the run there was not resumed"
    while (left := deadline - time.monotonic()) > 0:
        try:
            # test the connection first, because TCPStore would print each failure
            socket.create_connection(split_address(address), timeout=left).close()
            store = TCPStore(*split_address(address), wait_for_workers=False, timeout=timedelta(seconds=left))
            told: dict[str, Any] = json.loads(store.get("launch"))
            if told["name"] != before:
                return told
        except (OSError, DistError) as error:
            reason = one_line(error)
        time.sleep(0.5)
    remedy = f"start kedro run with train.distributed.rendezvous={address} there, then this command again"
    raise UserError(f"join {address}: no training to join within {WAIT_SECONDS} s ({reason}); {remedy}")

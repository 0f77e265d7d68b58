"""Train on several hosts: the first one runs ``kedro run``, the others ``python -m s10_pipeline join HOST:PORT``.

The first host serves a key-value store at HOST:PORT. Through it, PyTorch's elastic agents of all hosts find each other
whenever a training starts or restarts (https://docs.pytorch.org/docs/stable/elastic/rendezvous.html). A host that loses
its connection to the others waits for the next start.
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
from .launcher import WAIT_SECONDS, JoiningHost, LostError, Rendezvous, launch, train_in_processes

log = logging.getLogger(__name__)


def train_with_other_hosts(job: Job, show: Show, on_epoch: OnEpoch) -> None:
    """Train in processes on this host and on the hosts that join; if a process dies, resume from the last checkpoint.

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

    def announce() -> Rendezvous:
        store.set("launch", json.dumps({"name": (name := str(time.time_ns())), **told}))
        log.info("waiting for the other hosts: python -m s10_pipeline join %s", address)
        return Rendezvous(address, name, split_address(address)[0])

    try:
        train_in_processes(job, show, on_epoch, announce)
    except (RendezvousError, DistError) as error:
        next_epoch = job.checkpoints.last_epoch() + 1
        raise UserError(
            f"train.distributed.num_nodes={num_nodes}: not all hosts connected to {address} within {WAIT_SECONDS} s; "
            f"start the same command again here, and python -m s10_pipeline join {address} on each other host, to "
            f"train from epoch {next_epoch} on"
        ) from error


def join(address: str) -> None:
    """Take part in the training that another host started at ``address`` (``HOST:PORT``), until training has ended.

    Raises:
        UserError: no training was announced there within :data:`.launcher.WAIT_SECONDS`, or this host lacks its device,
            code version or data.
        RuntimeError: any other error of a process, with its traceback.
    """
    told: dict[str, Any] = {"name": None}
    while True:
        told = _next_start(address, told["name"])
        params = TrainParams.model_validate(told["params"])
        device = choose_device(params.device)
        check_device(params, device)
        if told["code"] != digest_of(training_code()):
            raise UserError(f"join {address}: the run there has another code version; install the same on both hosts")
        log.info("joining the training at %s", address)
        # torch gives rank 0 to the host whose name sorts first, and rank 0 must be on the first host. So the name of
        # this joining host begins with "~", which sorts last. No host connects by this name.
        rendezvous = Rendezvous(address, told["name"], f"~{socket.gethostname()}")
        try:
            launch(JoiningHost(params, device), lambda *_: None, lambda _row: None, rendezvous)
            return
        # Wait for the next start after an AttributeError too: torch's launcher raises it if the rendezvous already had
        # enough hosts until the time limit.
        except (LostError, RendezvousError, DistError, AttributeError) as error:
            log.warning("training was interrupted (%s); waiting for host %s to resume it", one_line(error), address)


def _open_store(address: str) -> TCPStore:
    """Start a server of a key-value store at ``address``, through which hosts find each other; return the store.

    Raises:
        UserError: the port is in use, or the address is not this host's.
    """
    try:
        # multi_tenant lets two stores of a process share a port, because the traceback of a failed training may still
        # keep an earlier store open.
        store = TCPStore("localhost", split_address(address)[1], None, True, wait_for_workers=False, multi_tenant=True)
        socket.create_connection(split_address(address), timeout=WAIT_SECONDS).close()
    except (OSError, DistError) as error:
        what = f"no host can join there ({one_line(error)}); give an address of this host and a free port"
        raise UserError(f"train.distributed.rendezvous={address}: {what}") from error
    return store


def _next_start(address: str, before: str | None) -> dict[str, Any]:
    """Wait until the host at ``address`` starts or restarts a training; return its name, parameters and code digest.

    Args:
        before: name of the last start that this host took part in, which is ignored; None before the first.

    Raises:
        UserError: none was announced within :data:`.launcher.WAIT_SECONDS`.
    """
    deadline, reason = time.monotonic() + WAIT_SECONDS, "the run there was not resumed"
    while (left := deadline - time.monotonic()) > 0:
        try:
            # Test with a plain socket first whether the host answers, because TCPStore prints each failed attempt.
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

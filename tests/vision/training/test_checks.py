import pytest
import torch

from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.training.checks import check_batch_size, check_device
from s10_pipeline.vision.training.params import TrainParams

CPU = torch.device("cpu")


def test_a_batch_is_no_larger_than_the_training_set(sets):
    check_batch_size(sets[0], TrainParams(batch_size=360))
    with pytest.raises(UserError, match="train.batch_size=361: only 360 "):
        check_batch_size(sets[0], TrainParams(batch_size=361))


HOSTS = {"num_nodes": 2, "rendezvous": "node1:29400"}


@pytest.mark.parametrize(
    ("distributed", "device", "reason"),
    [({}, "cpu", "uses cpu"), ({"num_processes": 2}, "cuda", "num_processes=2"), (HOSTS, "cuda", "on each of 2")],
)
def test_a_cuda_graph_is_for_one_process_on_cuda(distributed, device, reason, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    given = {"cuda_graph": "on", "distributed": distributed}
    with pytest.raises(UserError, match=f"train.cuda_graph=on: .*{reason}.*; use auto"):
        check_device(TrainParams.model_validate(given), torch.device(device))
    check_device(TrainParams.model_validate(given | {"cuda_graph": "auto"}), torch.device(device))
    check_device(TrainParams(cuda_graph="on"), torch.device("cuda"))


@pytest.mark.parametrize(
    ("params", "device", "message"),
    [
        ({"device": "cuda:0"}, "cuda:0", r"train.device=cuda:0 names one GPU"),
        ({}, "mps", r"num_processes=.*Apple GPU"),
        ({"distributed": {"num_processes": 64}, "batch_size": 200}, "cuda", r"num_processes=64: .*this host has"),
    ],
)
def test_devices_that_cannot_be_shared_are_refused(params, device, message):
    chosen = TrainParams.model_validate({"distributed": {"num_processes": 2}, **params})
    with pytest.raises(UserError, match=message):
        check_device(chosen, torch.device(device))


def test_a_batch_must_have_two_images_a_process():
    for distributed in ({"num_processes": 4}, {"num_processes": 2, **HOSTS}):
        with pytest.raises(UserError, match=r"train.batch_size=7: .* use at least 8"):
            check_device(TrainParams.model_validate({"batch_size": 7, "distributed": distributed}), CPU)
        check_device(TrainParams.model_validate({"batch_size": 8, "distributed": distributed}), CPU)

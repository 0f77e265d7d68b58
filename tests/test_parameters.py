import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.config import OmegaConfigLoader

from s10_pipeline.cli import run
from s10_pipeline.configuration import CONFIG_LOADER_ARGS
from s10_pipeline.identity.differences import flatten
from s10_pipeline.parameters import STAGES, validate_parameters
from s10_pipeline.vision.errors import UserError


def load(root: Path, env: str, **runtime: Any) -> dict[str, Any]:
    loader = OmegaConfigLoader(str(root / "conf"), env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)
    return loader["parameters"]


def test_base_writes_out_every_parameter_each_group_in_its_stages_file(root):
    written = load(root, "base")
    assert flatten(written).keys() == flatten(validate_parameters(written).model_dump()).keys()
    for group, stage in STAGES.items():
        assert group in yaml.safe_load((root / f"conf/base/parameters_{stage}.yml").read_text())


@pytest.mark.parametrize("env", ["base", "sample", "cpu", "seed"])
def test_environments_are_valid_and_have_a_root_of_their_own_with_what_needs_a_local_disk(root, env, monkeypatch):
    for given, local in ((None, "data"), ("/runs", "/runs"), ("s3://bucket/runs", "data"), ("memory://r", "data")):
        monkeypatch.setenv("S10_DATA_ROOT", given) if given else monkeypatch.delenv("S10_DATA_ROOT", raising=False)
        loader = OmegaConfigLoader(str(root / "conf"), env=env, **CONFIG_LOADER_ARGS)
        catalog, parameters, below = loader["catalog"], loader["parameters"], "" if env == "base" else f"/{env}"
        assert validate_parameters(parameters)
        assert catalog["model"]["filepath"] == f"{given or 'data'}{below}/06_models/model.safetensors"
        assert catalog["checkpoints"]["filepath"] == f"{local}{below}/06_models/checkpoints"
        assert parameters["ingest"]["download_dir"] == f"{local}/01_raw"


def test_the_recipe_of_2020_stands_as_it_was(root):
    parameters = validate_parameters(load(root, "seed"))
    train = parameters.train
    assert train.model_dump() == {
        "epochs": 50, "batch_size": 128, "lr": 0.05, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-3,
        "decay_norm_and_bias": True, "schedule": "plateau", "warmup_epochs": 0, "anneal_epochs": 0, "ema_decay": 0.0,
        "label_smoothing": 0.0, "class_weights": "none", "pretrained": {"path": None, "freeze": False},
        "seed": 0, "device": "auto", "precision": "auto", "num_workers": "auto", "deterministic": False,
        "cuda_graph": "auto", "keep_checkpoints": 2, "resizing": {"epochs": 0, "start": 0.5},
        "distributed": {"num_processes": 1, "num_nodes": 1, "rendezvous": None, "max_restarts": 2},
        "plateau": {"factor": 0.1, "patience": 3, "threshold": 1e-4, "cooldown": 0, "min_lr": 0.0},
        "architecture": {
            "depth": 18, "width": 64, "stem": "auto", "dropout": 0.1, "stem_dropout": 0.05,
            "zero_init_residual": False,
        },
    }  # fmt: skip
    assert list(parameters.augment.train) == [
        {"HorizontalFlip": {"p": 0.5}},
        {"Rotate": {"limit": 2, "border_mode": 4, "p": 0.5}},
        {"HueSaturationValue": {"hue_shift_limit": 3, "sat_shift_limit": 2, "p": 0.5}},
        {"Cutout": {"num_holes": 3, "size": 8, "fill": 0, "p": 0.5}},
    ]
    assert not parameters.evaluate.test_time_flip
    assert parameters.augment.pixel_mean == parameters.augment.pixel_std == (127.5, 127.5, 127.5)
    search = parameters.lr_search
    assert (search.start_lr, search.end_lr, search.num_iterations) == (1e-5, 5, 150)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.batchsize", 64, r"train.batchsize: no such parameter; did you mean batch_size\?"),
        ("train.learning_rate", 1, r"train.learning_rate: no such parameter; one of: .* epochs, .*, lr, "),
        ("epochs", 9, r"^epochs: no such group of parameters; did you mean train.epochs\?"),
        ("trian.lr", 9, r"trian: no such group of parameters; did you mean train\?"),
        ("train.epochs", "many", r"train.epochs=many: must be a valid integer.*; .* or in parameters_training.yml"),
        ("train.epochs", 0, r"train.epochs=0: must be greater than or equal to 1"),
        ("train.momentum", 0, r"train.momentum=0: nesterov=true needs .*; raise it, or set nesterov=false"),
        ("train.num_workers", -1, r"train.num_workers=-1: "),
        ("train.num_workers", "x", "train.num_workers=x: must be 'auto' or must be a valid integer; change it by"),
        ("augment.pixel_mean", "x", "augment.pixel_mean=x: must be a list; lists go into a file, see --config; change"),
        ("train.nesterov", "x", "train.nesterov=x: must be true or false; change it by --params or in"),
        ("explain.layer", 3, "explain.layer=3: must be a text, in quotes or must be a list; lists go into a file"),
        ("train.distributed", {"rendezvous": "node1"}, r"^train.distributed.rendezvous=node1: must be .*PORT .*; give"),
        ("train.distributed", {"rendezvous": "a:70000"}, r"^train.distributed.rendezvous=a:70000: must be HOST:PORT"),
        ("train.distributed", {"num_nodes": 2}, r"^train.distributed.num_nodes=2: .*; give .*.rendezvous=HOST"),
        ("train.precision", "fp8", r"train.precision=fp8: must be 'auto', 'bf16', 'fp16' or 'fp32'"),
        ("train.architecture.depth", 19, r"train.architecture.depth=19: no ResNet of this depth; one of: 8, 10"),
        ("train.pretrained.freeze", True, r"train.pretrained.freeze=true: .*; give path, or set freeze=false"),
        ("train", 5, r"train=5: .*train.NAME=VALUE"),
        ("train.architecture", "resnet18", r"train.architecture=resnet18: is a group of parameters"),
        ("augment.val_fraction", 0, r"augment.val_fraction=0: must be greater than 0"),
        (
            "augment.pixel_mean",
            [0.4, 0.3, 0.2],
            r"^augment.pixel_mean=\[0.4, 0.3, 0.2\]: .* 0-255, .*; multiply by 255",
        ),
        ("train", {"epochs": 0, "momentum": 7}, r"train.epochs=0.*train.momentum=7"),
        ("augment.pixel_std", [1, 1, 1], r"^augment.pixel_std=.*: must be for pixel values 0-255"),
        ("ingest.source", "cifar11", r"ingest.source=cifar11: not a known source; did you mean cifar10\?"),
        ("ingest.source", "folder", r"ingest.path=null: .*ingest.path=FOLDER"),
        ("ingest.shortcut", "circle", r"ingest.shortcut=circle: only source=shapes10 draws tags"),
        ("ingest", {"source": "shapes10", "shortcut": "hart"}, r"^ingest.shortcut=hart: no shape .*mean heart\?"),
        ("ingest", {"source": "shapes10", "shortcut": ""}, r"^ingest.shortcut=: no shape of this name; one of: "),
        ("train.anneal_epochs", 49, r"^train.anneal_epochs=49: epochs=50 and warmup_epochs=2 leave 48; lower it"),
        ("train.epochs", 11, r"^train.anneal_epochs=10: epochs=11 and warmup_epochs=2 leave 9; .*raise epochs"),
        ("train.epochs", 5, r"--params=train.epochs=5,train.warmup_epochs=2,train.anneal_epochs=3, or raise"),
        ("train.epochs", 1, r"^train.warmup_epochs=2: .*=train.epochs=1,train.warmup_epochs=0,train.anneal_epochs=1, "),
        ("train.warmup_epochs", 60, r"^train.warmup_epochs=60: must be at most epochs=50,"),
        ("lr_search.end_lr", 1e-6, r"lr_search.end_lr=1e-06: must be above start_lr"),
        ("explain.layer", "layer5", r"explain.layer=layer5: must be one of layer1, layer2, layer3, layer4"),
        ("explain.layer", "layer3+layer3", r"explain.layer=layer3\+layer3: .* several different ones"),
    ],
)
def test_mistakes_are_one_line(root, key, value, message):
    nested: Any = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    with pytest.raises(UserError, match=message) as caught:
        validate_parameters(load(root, "base", **nested))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [{"epochs": 1}, {"epochs": 5}, {"anneal_epochs": 60}, {"warmup_epochs": 99}])
def test_the_epochs_that_a_message_offers_are_taken(root, given):
    with pytest.raises(UserError) as caught:
        validate_parameters(load(root, "base", train=given))
    option = re.search(r"--params=[^ ]*[^ ,]", str(caught.value))[0]
    assert validate_parameters(load(root, "base", **run.make_context("run", [option]).params["params"]))


@pytest.mark.parametrize(
    ("group", "given"),
    [
        *(("explain", {"layer": layer}) for layer in ("layer2", "layer2+layer3", ("layer2", "layer3"))),
        ("augment", {"pixel_mean": (0, 0, 0), "pixel_std": (255, 255, 255)}),
        ("augment", {"pixel_mean": (0.5, 0.2, 30), "pixel_std": (0.9, 40, 40)}),
    ],
)
def test_one_layer_or_several_and_means_of_dark_channels_are_taken(root, group, given):
    taken = getattr(validate_parameters(load(root, "base", **{group: given})), group)
    assert {name: getattr(taken, name) for name in given} == given


@pytest.mark.parametrize(("typed", "meant"), [("on", "on"), ("off", "off"), ("auto", "auto"), ("'on'", "on")])
def test_a_bare_on_or_off_of_yaml_is_the_choice_of_that_name(root, typed, meant):
    values = load(root, "base")
    values["train"]["cuda_graph"] = yaml.safe_load(typed)
    assert validate_parameters(values).train.cuda_graph == meant


# What is typed behind --params=, the parameter, its value.
TYPED = [
    ("ingest.path=run #2", "ingest.path", "run #2"),
    ("ingest.path=2024_01", "ingest.path", "2024_01"),
    ("ingest.path=@w", "ingest.path", "@w"),
    ("ingest.path=~", "ingest.path", "~"),
    ("ingest.path=a: b", "ingest.path", "a: b"),
    ("ingest.path=[2024]=x", "ingest.path", "[2024]=x"),
    ("ingest.path=${oc.env:HOME}", "ingest.path", "${oc.env:HOME}"),
    (r"ingest.path=\${x", "ingest.path", r"\${x"),
    ("ingest.path=!!python/name:os.system", "ingest.path", "!!python/name:os.system"),
    ("ingest.path=&a [*a]", "ingest.path", "&a [*a]"),
    ("ingest.path=???", "ingest.path", "???"),
    ("ingest.path=O'Brien's", "ingest.path", "O'Brien's"),
    ("ingest.path='null'", "ingest.path", "null"),
    ("ingest.path=null", "ingest.path", None),
    ('ingest.path="a, b=c",train.lr=1e-3', "ingest.path", "a, b=c"),
    ("ingest.path='it''s, so',train.lr=1e-3", "ingest.path", "it's, so"),
    ('ingest.path="a,b",train.lr=1e-3', "train.lr", 1e-3),
    ("train.epochs=1e2", "train.epochs", 100),
    ("train.nesterov=off", "train.nesterov", False),
    ("train.cuda_graph=on", "train.cuda_graph", "on"),
    ("train.num_workers=2", "train.num_workers", 2),
    ("train.num_workers=auto", "train.num_workers", "auto"),
    ("explain.layer=layer2", "explain.layer", "layer2"),
    ('augment.pixel_std="[63,62,66]"', "augment.pixel_std", (63, 62, 66)),
]


@pytest.mark.parametrize(("typed", "name", "value"), TYPED)
def test_what_is_typed_is_a_value_of_the_declared_type(root, typed, name, value):
    given = run.make_context("run", [f"--params={typed}"]).params["params"]
    group, key = name.split(".")
    found = getattr(getattr(validate_parameters(load(root, "base", **given)), group), key)
    assert (found, type(found)) == (value, type(value))


def test_a_number_of_a_file_is_no_text(root):
    # YAML reads 2024_01 as 202401: another folder
    with pytest.raises(UserError, match=r"^ingest.path=202401: must be a text, in quotes; "):
        validate_parameters(load(root, "base", ingest=yaml.safe_load("path: 2024_01")))

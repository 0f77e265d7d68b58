"""Kedro hooks: check parameters, device and folders before a run, explain missing artifacts, log the outcome."""

import json
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from .configuration import CONFIG_LOADER_ARGS, ConfigLoader
from .datasets.atomic import path_from_here
from .datasets.classifier import ClassifierDataset
from .datasets.image_set import ImageSetDataset
from .parameters import Parameters, validate_parameters
from .staleness.kedro_internals import file_system_of, is_local, is_versioned, load_path
from .vision.data.faults import PLANTED
from .vision.errors import UserError, did_you_mean
from .vision.evaluation.verdict import in_lines
from .vision.explain.params import split_layers
from .vision.network.params import check_stage

log = logging.getLogger(__name__)

# Prefixes of inputs that are not checked for existence before a run: parameters, and checkpoints, which may be missing.
ALWAYS_THERE = ("params:", "parameters", "checkpoints")

# Outputs whose path is logged at the end of a run.
PAGES = ("predictions", "predictions_gallery", "onnx_model", "report")

# Datasets whose metadata tells whether images were drawn by the program or have planted faults; logged after a run.
TITLED = ("train_images", "test_images", "model")


class ProjectHooks:
    """Kedro hooks of this project. The nodes run without these hooks too, but with less helpful error messages."""

    _context: KedroContext
    _parameters: Parameters
    _catalog: DataCatalog
    _saved: dict[str, Any]
    _announced = False
    _unchecked: Pipeline | None = None
    _trains = True
    _order: tuple[str, ...] = ()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Check all parameters before anything runs, also those of stages that this run leaves out."""
        self._context = context
        if (env := context.env) and env not in (known := self._environments()) and known:
            option = "KEDRO_ENV" if env == os.environ.get("KEDRO_ENV") else "--env"
            raise UserError(f"{option}={env}: no such environment; {did_you_mean(env, known)}")
        self._parameters = validate_parameters(context.config_loader["parameters"])

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Raise UserError if the run needs an artifact that was never made, or a layer that its network lacks."""
        self._catalog, self._announced, self._saved = catalog, False, {}
        self._unchecked = pipeline
        self._order = tuple(node.name for node in pipeline.nodes)
        self._trains = "train_resnet" in self._order
        for name, version in (run_params.get("load_versions") or {}).items():
            if name in pipeline.all_outputs():
                remedy = "choose stages that only read it with --pipeline or --nodes"
                raise UserError(f"--load-versions={name}:{version}: this run makes {name} anew; {remedy}")
            if name in pipeline.datasets() and not catalog.exists(name):
                raise UserError(f"--load-versions={name}:{version}: no such version; see the sub-folders of {name}")
        checkpoints: Any = catalog.get("checkpoints") if "checkpoints" in pipeline.inputs() else None
        if checkpoints and not is_local(catalog.get("model")):
            log.info("checkpoints: need a local disk and are kept in %s", os.path.abspath(checkpoints.filepath))
        # Check the model first, because the error names only one artifact, and without a model most others are missing.
        for name in sorted(pipeline.inputs(), key=lambda name: (name != "model", name)):
            if not name.startswith(ALWAYS_THERE) and not catalog.exists(name):
                raise UserError(self._explain_missing(name))
        if {"compute_cams", "predict_images"}.intersection(self._order):
            depth = self._parameters.train.architecture.depth
            if not self._trains:
                depth = _describe(catalog.get("model")).get("architecture", {}).get("depth", 0)
            for layer in split_layers(self._parameters.explain.layer) if depth else ():
                check_stage(layer, depth)

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Check once that folders can be written and the device works; estimate the time of range test and training.

        These checks are no part of the nodes, because they do not belong to the results. They do not precede the run
        either, because nothing is written if everything is up to date.
        """
        if self._unchecked:
            self._check_host(self._unchecked)
            self._unchecked = None
        # In worker processes of Kedro's ParallelRunner, the list of nodes is empty, so no progress is logged there.
        if node.name in self._order:
            log.info("%d/%d %s", self._order.index(node.name) + 1, len(self._order), node.name)
        if self._announced or node.name not in ("lr_range_test", "train_resnet"):
            return
        if node.name == "lr_range_test" and not inputs["params:lr_search"].runs_test(inputs["params:train"].lr):
            return
        self._announced = True
        from .vision.training.checks import num_batches
        from .vision.training.estimate import announce

        images, train_set, train = inputs["train_images"], inputs["train_set"], inputs["params:train"]
        if node.name == "train_resnet":
            num_measured = len(inputs["val_set"]) + len(inputs["test_set"])
            announce(images, train_set, train, epochs=_epochs_left(inputs), num_measured=num_measured)
            return
        # The range test's inputs hold no validation and test sets, so the estimate leaves out evaluation. The learning
        # rate, by which checkpoints are found, is not known yet, so the estimate assumes that all epochs are left.
        epochs = range(1, train.epochs + 1 if self._trains else 1)
        num_tests, num_iterations = inputs["params:lr_search"].plan(num_batches(train_set, train))
        announce(images, train_set, train, range_test=num_tests * num_iterations, epochs=epochs, num_measured=0)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Mark a training as finished once all outputs of its node are saved; the next ``kedro run`` then trains anew.

        The order of saving does not matter: ``kedro run --async`` may save the provenance before the model.
        """
        if "provenance" not in node.outputs or not hasattr(self, "_catalog"):
            return  # worker processes of Kedro's ParallelRunner have no catalog, so they mark no training
        self._saved[dataset_name] = data if dataset_name == "provenance" else None
        if self._saved.keys() >= set(node.outputs):
            provenance = self._saved["provenance"]
            self._catalog.load("checkpoints").mark_finished(provenance["checkpoints"], provenance["train"]["epochs"])

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log whether images were drawn by the program or have planted faults, the verdicts, and paths of outputs."""
        titles = (_made_up_title(catalog.get(name)) for name in TITLED if name in pipeline.datasets())
        made_up = [f"made from {title}" for title in titles if title][:1]
        written = {name: catalog.get(name) for name in PAGES if name in pipeline.outputs()}
        judging = {"verdicts", "cam_check"} & pipeline.all_outputs()
        made = [catalog.load(name) for name in sorted(judging) if catalog.exists(name)]
        verdicts = [v for part in made for v in (part if isinstance(part, list) else [part["verdict"]])]
        places = [_place_of(name, page) for name, page in written.items() if isinstance(page, AbstractVersionedDataset)]
        for line in (*made_up, *in_lines(verdicts), *places):
            log.info("%s", line)

    def _check_host(self, pipeline: Pipeline) -> None:
        inputs = pipeline.inputs()
        for name in sorted(pipeline.all_outputs() | ({"checkpoints"} & inputs)):
            dataset = self._catalog.get(name)
            if is_local(dataset) and (path := getattr(dataset, "filepath", None)):
                # A dataset without versions replaces its file, so the folder of the file must be writable.
                replaces = Path(path).is_file() and not is_versioned(dataset)
                _check_writable(Path(path).parent if replaces else Path(path))
        if inputs & {"params:train", "params:train.device"}:
            from .vision.device import choose_device, choose_precision

            train = self._parameters.train
            device = choose_device(train.device)
            choose_precision(train.precision if "params:train" in inputs else "auto", device)
            if train.pretrained.path and "params:train" in inputs:
                from .vision.network.pretrained import read_pretrained

                read_pretrained(train.pretrained.path)
        if "params:augment" in inputs:
            from .vision.data.transforms import build_transforms

            build_transforms([*self._parameters.augment.train], mean=(0.0, 0.0, 0.0))

    def _explain_missing(self, name: str) -> str:
        env = self._context.env or "base"
        others = (other for other in self._environments() if other not in (env, "local"))
        having = [other for other in others if self._exists_in(name, other)]
        remedy = f"make it with kedro run --env={env}"
        if having:
            remedy += f", or use an environment that has one: {', '.join(f'--env={other}' for other in having)}"
        return f"{name}: environment {env} has none yet; {remedy}"

    def _environments(self) -> list[str]:
        conf = Path(str(self._context.config_loader.conf_source))
        return sorted(p.name for p in conf.iterdir() if p.is_dir()) if conf.is_dir() else []

    def _exists_in(self, name: str, env: str) -> bool:
        source = str(self._context.config_loader.conf_source)
        config = ConfigLoader(conf_source=source, env=env, **CONFIG_LOADER_ARGS)["catalog"].get(name, {})
        filepath = config.get("filepath", "://")
        local = {name: config | {"filepath": str(self._context.project_path / filepath)}}
        return "://" not in filepath and DataCatalog.from_config(local).exists(name)


def _place_of(name: str, page: AbstractVersionedDataset[Any, Any]) -> str:
    """Return the log line for a written output: its name and its path or URL.

    For the report, return only the path, so that a terminal makes it clickable.
    """
    path = load_path(page)
    shown = path_from_here(path) if is_local(page) else file_system_of(page).unstrip_protocol(str(path))
    return shown if name == "report" else f"{name}: {shown}"


def _check_writable(path: Path) -> None:
    """Raise UserError if the folder at ``path`` cannot be written, or cannot be created."""
    place = next(place for place in (path, *path.parents) if os.path.lexists(place))
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        remedy = "change its owner or permissions, or set S10_DATA_ROOT to a folder of yours"
        raise UserError(f"{place}: results cannot be written there ({error.strerror}); {remedy}") from error


def _epochs_left(inputs: dict[str, Any]) -> range:
    """Return the range of epochs (from 1) that ``train_resnet`` would train: those after its newest checkpoint."""
    from .vision.training.data import TrainingData
    from .vision.training.engine import epochs_left

    read = ("train_images", "test_images", "train_set", "val_set", "test_set")
    train = inputs["params:train"]
    data = TrainingData(*(inputs[name] for name in read))
    return epochs_left(data, train.rate(inputs["best_lr"]), train, inputs["checkpoints"])


def _describe(dataset: Any) -> dict[str, Any]:
    """Return the stored metadata of an image set or a model, without pixels or weights; {} if none can be read."""
    with suppress(Exception):  # ignore a damaged file, because the stage that loads it reports the error
        if isinstance(dataset, (ImageSetDataset, ClassifierDataset)):
            return dataset.describe() if isinstance(dataset, ImageSetDataset) else dict(json.loads(dataset.preview()))
    return {}


def _made_up_title(dataset: Any) -> str:
    """Return the title of images that were drawn by the program or have planted faults; for others, an empty string."""
    about = _describe(dataset)
    source = about.get("source", about)
    title = str(source.get("title", ""))
    return title if source.get("drawn") or PLANTED in title else ""

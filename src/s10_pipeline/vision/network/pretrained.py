"""Read pretrained weights: a model of this project, or a ResNet whose weights are named as in torchvision or timm."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...identity.regular_files import regular_file
from ..errors import UserError, one_line, printable
from .classifier import Classifier, ClassifierSpec, load_classifier
from .params import BASIC_BLOCKS, BOTTLENECK_BLOCKS, ArchitectureParams

# Mean and standard deviation of ImageNet (0-255), with which torchvision's and timm's ResNets are trained.
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

# Regular expressions that translate weight names of this project to torchvision's, which timm uses too.
TORCHVISION = {
    r"^stem\.0\.": "conv1.", r"^stem\.1\.": "bn1.", r"^head\.": "fc.", r"\.norm(\d)\.": r".bn\1.",
    r"\.shortcut\.": ".downsample.",
}  # fmt: skip


@dataclass(frozen=True)
class Pretrained:
    """Pretrained weights read from a file, with the metadata that the network needs.

    Attributes:
        path: the file, for error messages.
        tensors: the weights by their names in the file.
        spec: specification of a model of this project; None for other files.
    """

    path: Path
    tensors: dict[str, Any]
    spec: ClassifierSpec | None = None

    def describe_network(self, architecture: ArchitectureParams) -> dict[str, Any]:
        """Return the architecture and normalisation that a network needs to use the pretrained weights.

        ``stem="auto"`` is replaced by the file's stem, which is "imagenet" unless the file is a model of this project.

        Returns:
            ``architecture``, ``mean`` and ``std``.
        """
        stem = self.spec.architecture.stem if self.spec else "imagenet"
        if architecture.stem == "auto":
            architecture = architecture.model_copy(update={"stem": stem})
        mean, std = (self.spec.mean, self.spec.std) if self.spec else (IMAGENET_MEAN, IMAGENET_STD)
        return {"architecture": architecture, "mean": mean, "std": std}

    def load_into(self, model: Classifier) -> None:
        """Copy the pretrained weights into the model's network.

        The head (last layer) is not copied if the file is for other classes or another number of classes.

        Raises:
            UserError: weights are of another depth, have unknown names or other shapes, or are missing or not finite.
        """
        own = {self._name_in_file(name): (name, t) for name, t in model.network.state_dict().items()}
        tensors = dict(self.tensors)
        for name in [name for name in (*tensors, *own) if name.endswith("num_batches_tracked")]:
            # Ignore the batch counts of BatchNorm, because old files lack them and BatchNorm with momentum never uses
            # them.
            tensors.pop(name, None), own.pop(name, None)
        head = [self._name_in_file(f"head.{part}") for part in ("weight", "bias")]
        same_number = tensors.get(head[1], torch.empty(0)).shape == (len(model.class_names),)
        if not (self.spec.class_names == model.class_names if self.spec else same_number):
            for name in head:
                tensors.pop(name, None), own.pop(name)
        depth, wanted = _depth(tensors), model.spec.architecture.depth
        if depth not in (None, wanted):
            raise _misfit(self.path, f"a ResNet of depth {depth}, not {wanted}; set train.architecture.depth={depth}")
        if names := sorted(tensors.keys() ^ own.keys()):
            raise _misfit(
                self.path,
                f"{'unknown' if names[0] in tensors else 'missing'} weights {printable(names[0])} ({len(names)} names "
                "differ); use a ResNet-18, 34, 50 or 101 of torchvision or timm, or a model of this project, and set "
                "train.architecture.depth and stem as they are there",
            )
        for name, (_, ours) in own.items():
            if tensors[name].shape != ours.shape:
                raise _misfit(
                    self.path,
                    f"{name} is {_shape(tensors[name])} instead of {_shape(ours)}; set train.architecture.width and "
                    "stem as they are in the file",
                )
            if not torch.isfinite(tensors[name]).all():
                raise _misfit(self.path, f"{name} is not finite; restore the file")
        model.network.load_state_dict({ours: tensors[name] for name, (ours, _) in own.items()}, strict=False)

    def _name_in_file(self, name: str) -> str:
        if self.spec:
            return f"network.{name}"
        for pattern, replacement in TORCHVISION.items():
            name = re.sub(pattern, replacement, name)
        return name


def read_pretrained(path: str) -> Pretrained:
    """Read a ``.safetensors`` file, or a state dict written by ``torch.save``, without running code from it.

    Raises:
        UserError: the file cannot be read, or contains something other than tensors.
    """
    file, ours = Path(path).expanduser(), False
    try:
        if file.suffix == ".safetensors":
            with safe_open(regular_file(file), framework="pt") as content:
                ours = "spec" in (content.metadata() or {})
                tensors = {} if ours else {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        else:
            tensors = torch.load(regular_file(file), map_location="cpu", weights_only=True)
        named = isinstance(tensors, dict) and all(isinstance(name, str) for name in tensors)
        if not named or not all(isinstance(t, Tensor) for t in tensors.values()):
            raise ValueError("contains something other than a state dict")
    # Catch every type of exception, because torch may raise any of them for a damaged or malicious file.
    except Exception as error:
        raise UserError(
            f"train.pretrained.path={path}: {_reason(error)}; give a .safetensors file, or "
            "a file that torch.save(model.state_dict(), FILE) wrote"
        ) from error
    if ours:
        model = load_classifier(file)
        return Pretrained(file, model.state_dict(), model.spec)
    return Pretrained(file, tensors)


def _depth(names: Iterable[str]) -> int | None:
    """Infer the depth of a ResNet from the names of its weights; return None if the depth is not supported."""
    blocks = {tuple(re.findall(r"layer(\d+)\.(\d+)\.", name)[:1]) for name in names}
    stages = Counter(stage for found in blocks for stage, _ in found)
    known = BOTTLENECK_BLOCKS if any(".conv3." in name for name in names) else BASIC_BLOCKS
    counts = tuple(stages[stage] for stage in sorted(stages))
    return next((depth for depth, blocks_a_stage in known.items() if blocks_a_stage == counts), None)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def _reason(error: Exception) -> str:
    told = isinstance(error, (OSError, ValueError, SafetensorError))
    return one_line(error)[:200] if told else "damaged, or contains code, which was not run"


def _misfit(path: Path, reason: str) -> UserError:
    # Functions used only in raise statements are no part of a training's code digest, so a change of this message does
    # not make stored models stale.
    return UserError(f"train.pretrained.path={path}: {reason}")

"""Each choice is named in one table; whatever else names its members is tied to it here."""

import re
from pathlib import Path

import pytest
import pytorch_grad_cam
from pydantic import ValidationError
from pytorch_grad_cam.base_cam import BaseCAM

from s10_pipeline.vision.explain.params import METHODS, SELECTIONS, ExplainParams

CHOICES = {"method": METHODS, "selection": SELECTIONS}


@pytest.mark.parametrize("name", CHOICES)
def test_what_the_table_holds_is_what_is_accepted(name: str) -> None:
    for choice in CHOICES[name]:
        assert getattr(ExplainParams.model_validate({name: choice}), name) == choice
    with pytest.raises(ValidationError, match=" or ".join(map(repr, list(CHOICES[name])[-2:]))):
        ExplainParams.model_validate({name: "another"})


@pytest.mark.parametrize("name", CHOICES)
def test_the_comment_in_the_parameters_names_them_all(root: Path, name: str) -> None:
    text = (root / "conf/base/parameters_explain.yml").read_text()
    (comment,) = re.findall(rf"^  {name}: \w+ +# (.*)$", text, re.MULTILINE)
    assert comment.split(", ") == list(CHOICES[name])


def test_the_readme_names_the_methods(root: Path) -> None:
    readme = " ".join((root / "README.md").read_text().split())
    (sentence,) = re.findall(r"`explain\.method` takes (.*?), `explain\.layer`", readme)
    assert re.findall(r"`([^`]+)`", sentence) == list(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_classes_of_the_package(method: str) -> None:
    assert issubclass(getattr(pytorch_grad_cam, METHODS[method]), BaseCAM)

import copy
import dataclasses
import pickle
import re
import subprocess
import sys

import pytest
import torch

from project_nodes import NODES, call
from s10_pipeline.vision.data.params import AugmentParams
from s10_pipeline.vision.data.split import build_sets
from s10_pipeline.vision.errors import UserError
from s10_pipeline.vision.explain import faithfulness, gradcam
from s10_pipeline.vision.explain.params import SELECTIONS, ExplainParams
from s10_pipeline.vision.explain.selection import draw_mistakes


def explain_all(artifacts, params=None, **changed):
    """What the stage leaves, with what it was given, by dataset name."""
    given = {**artifacts, "params:explain": params or ExplainParams(), **changed}
    for name in ("collect_misclassified", "compute_cams", "check_cams", "gradcam_report"):
        given |= call(name, given)
    return given


@pytest.fixture(scope="module")
def explained(artifacts):
    return explain_all(artifacts)


@pytest.mark.parametrize("num_images", [25, 3])
def test_each_chosen_mistake_is_shown(artifacts, explained, num_images):
    given = explained if num_images == 25 else explain_all(artifacts, ExplainParams(num_images=num_images))
    page, check = given["report"], given["cam_check"]
    shown = [int(i) for i in re.findall(r'data-index="(\d+)"', page)]
    assert shown == given["misclassified"]["index"].tolist() == given["cams"].indices.tolist()
    assert len(shown) == num_images and "drawn data, not CIFAR-10" in page
    assert given["gradcam_gallery"].get_size_inches().min() > 1
    wrong = artifacts["test_predictions"].eval("label != prediction").sum()
    assert check["num_maps"] + check["num_blank"] == wrong, "all mistakes are checked, whatever is shown"
    assert check["verdict"]["n"] == check["num_maps"]
    assert page.count('<figure class="plot"') == 5 + bool(check["advantage"]) and "Lineage" in page


def test_the_check_is_of_the_maps_of_the_predicted_class(artifacts, explained):
    model, images = artifacts["model"], artifacts["test_images"]
    drawn = draw_mistakes(artifacts["test_predictions"], 200, seed=0)
    pixels, predicted = images.images_nhwc[drawn["index"]], drawn["prediction"].to_numpy()
    maps, grids = gradcam.compute_cams(model, pixels, predicted, method="gradcam", layer="layer3"), [(8, 8)]
    assert gradcam.find_grids(model, "layer3", (32, 32)) == grids
    assert explained["cam_check"] == faithfulness.check_cams(model, pixels, predicted, maps, grids, seed=0)


def test_the_report_needs_no_torch(explained, tmp_path):
    (tmp_path / "inputs").write_bytes(pickle.dumps({name: explained[name] for name in NODES["gradcam_report"].inputs}))
    code = (
        "import pickle, sys; from pathlib import Path; folder = Path(sys.argv[1]); "
        "from s10_pipeline.pipelines.explain.nodes import gradcam_report; "
        "_, page = gradcam_report(**pickle.loads((folder / 'inputs').read_bytes())); "
        "heavy = {'torch', 'torchvision', 'albumentations', 'cv2', 'pytorch_grad_cam'} & set(sys.modules); "
        "assert not heavy, heavy; (folder / 'page').write_text(page, encoding='utf-8')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "page").read_text(encoding="utf-8") == explained["report"]


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("node", ["compute_cams", "gradcam_report"])
def test_images_of_another_time_are_refused(explained, node, split):
    images = explained[f"{split}_images"]
    other = dataclasses.replace(images, images_nhwc=images.images_nhwc[::-1].copy(), digest=None)
    with pytest.raises(UserError, match=f"^{split}_images: "):
        call(node, explained, **{f"{split}_images": other})


def test_another_split_and_maps_of_other_mistakes_are_refused(explained):
    other, *_ = build_sets(explained["train_images"], explained["test_images"], AugmentParams(seed=1))
    with pytest.raises(UserError, match="^train_set: differs from the split"):
        call("compute_cams", explained, train_set=other)
    with pytest.raises(UserError, match="^cams: .* misclassified"):
        call("gradcam_report", explained, misclassified=explained["misclassified"].head(5))


def test_predictions_of_another_model_are_refused(explained):
    """As after a new training without evaluation; ``explained`` shows that the model's own predictions are accepted."""
    other = copy.deepcopy(explained["model"])
    with torch.no_grad():
        other.network.head.weight.neg_()
    predictions = explained["test_predictions"]
    for changed in (
        {"model": other},
        {"test_predictions": predictions.assign(index=predictions["index"] + 1)},
        {"test_predictions": predictions.rename(columns={"p_heart": "p_horse"})},
    ):
        with pytest.raises(UserError, match="^test_predictions: .*kedro run --pipeline=evaluation$"):
            call("compute_cams", explained, **changed)


def test_the_report_reads_what_made_the_model_not_this_call(artifacts):
    told = {**artifacts["provenance"], "model": {**artifacts["provenance"]["model"], "lr": 0.777}}
    page = explain_all(artifacts, ExplainParams(num_images=2, layer="layer2+layer3"), provenance=told)["report"]
    assert "0.777" in page and "mean of layer2+layer3" in page


@pytest.mark.parametrize("selection", SELECTIONS)
def test_the_report_says_which_mistakes_it_shows(explained, selection):
    cams = dataclasses.replace(explained["cams"], params={**explained["cams"].params, "selection": selection})
    page = call("gradcam_report", explained, cams=cams)["report"]
    assert [words for words in SELECTIONS.values() if words in page] == [SELECTIONS[selection]]


def test_a_planted_shortcut_is_explained(artifacts):
    planted = {"class_name": "heart", "box_xyxy": [1, 1, 6, 6], "rgb": [255, 222, 0]}
    data = artifacts["provenance"]["data"]
    told = {**artifacts["provenance"], "data": {**data, "train": {**data["train"], "planted": planted}}}
    probe = call("probe_shortcut", artifacts, provenance=told)
    given = explain_all(artifacts, ExplainParams(num_images=2), provenance=told, **probe)
    assert len(given["cams"].shortcut_nhw) == len(given["cams"].shortcut_examples) == 9
    assert given["report"].count('alt="Map over it: evidence for heart"') == 9


def test_no_mistakes_are_no_error(artifacts):
    predictions = artifacts["test_predictions"]
    right = predictions.assign(prediction=predictions["label"], prediction_name=predictions["label_name"])
    given = explain_all(artifacts, test_predictions=right)
    assert len(given["misclassified"]) == 0 and 'data-index="' not in given["report"]

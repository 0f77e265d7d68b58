import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from s10_pipeline.vision.evaluation.verdict import FAULTS, KINDS
from s10_pipeline.vision.report.inputs import ReportInputs
from s10_pipeline.vision.report.page import build_report

Inputs = Callable[..., ReportInputs]
NASTY = "<script>alert(1)</script>&\"' $x^2$ ünï木"  # the first class, as conftest.py has it


class Page(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def facts(html: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', html, re.DOTALL)
    found: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return found


def section_html(html: str, name: str) -> str:
    (found,) = re.findall(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    return str(found)


def section(html: str, name: str) -> str:
    """Its words, without tags."""
    return " ".join(re.sub(r"<[^>]*>", "", re.sub(r"</t[dhr]>", " ", section_html(html, name))).split())


def test_has_a_card_for_each_image_in_order(html: str) -> None:
    cards = [figure for figure in Page(html).all("figure") if figure["class"] == "mistake"]
    assert [card["data-index"] for card in cards] == [str(i) for i in range(0, 50, 2)]
    assert cards[0]["data-truth"] == NASTY and cards[0]["data-prediction"] == "dog"
    # the second image's map is blank, and with it the difference
    assert html.count('<div class="blank">blank map:') == html.count('<div class="blank">no difference:') == 1
    assert len(re.findall(r'alt="Map over test image', html)) == 49
    assert len(re.findall(r'alt="Difference of both maps', html)) == 24 and "test/dog/4.png" in html


def test_needs_nothing_else(html: str) -> None:
    page = Page(html)
    assert not re.search(r"https?://", html)
    addresses = [a[k] for _, a in page.tags for k in ("src", "href") if k in a]
    targets = {attributes.get("id") for _, attributes in page.tags}
    assert len(addresses) > 100
    for address in addresses:
        assert address is not None and (address.startswith("data:") or address[1:] in targets), address[:40]
    assert not re.search(r"url\((?!#)|@import", html)
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(set(ids)) == len(ids) and {*re.findall(r'(?:url\(|href=")#([\w-]+)', html)} <= {*ids}
    assert len(html) < 5e6
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert "script-src 'sha256-" in policy
    told = [image["alt"] for image in page.all("img")]
    told += [figure["aria-label"] for figure in page.all("figure") if figure["class"] == "plot"]
    assert len(page.all("svg")) == 7 and all(len(words or "") > 10 for words in told)
    assert [tag["lang"] for tag in page.all("html")] == ["en"]


def test_everything_from_data_is_escaped(html: str, inputs: Inputs) -> None:
    for page in (html, build_report(inputs(planted=True), {})):
        assert NASTY not in page and "<script>alert" not in page and "alert(1)</script" not in page
        assert page.count("</script>") == 2 and len(Page(page).all("script")) == 2
        assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39; $x^2$ ünï木") > 40
        assert facts(page)["misclassified"][0]["truth"] == NASTY


def test_key_figures_as_json(html: str) -> None:
    found = facts(html)
    assert found["metrics"]["test_accuracy"] == 0.5 and found["metrics"]["ece"] is None
    assert found["metrics"]["temperature"] == 1.5
    assert found["num_misclassified"] == 60 and len(found["misclassified"]) == 25
    first = found["misclassified"][0]
    assert (first["index"], first["truth"], first["prediction"]) == (0, NASTY, "dog")
    assert (first["confidence"], first["truth_probability"]) == (0.7, 0.15)
    assert [card["blank_map"] for card in found["misclassified"]] == [False, True] + [False] * 23
    assert found["training"]["lr_dropped_after_epochs"] == [2] == [drop["epoch"] for drop in found["schedule"]["drops"]]
    assert html.count(" ↓</td>") == 1, "in the table of epochs too, the drop after the last epoch is left out"
    assert found["training"]["best_val_epoch"] == 3 and found["training"]["val_accuracy"] is None
    assert found["learning_rate"]["candidates"] == {"auto": 0.05, "minimum": None}
    assert found["cam_check"]["verdict"]["verdict"] == "found" and found["shortcut"] is None
    assert found["verdicts"].keys() == KINDS.keys()
    assert len(found["epochs"]) == 4 and found["epochs"][0]["images_per_second"] == 50
    assert found["duplicates"][0]["index"] == 3 and "data:image" not in json.dumps(found)


def test_what_was_not_measured_is_none_and_comes_last(inputs: Inputs) -> None:
    given = inputs()
    metrics, timing = given.class_metrics.assign(f1=[0.9, np.nan, 0.1]), given.training_timing.head(3)
    found = facts(build_report(dataclasses.replace(given, class_metrics=metrics, training_timing=timing), {}))
    assert [row["f1"] for row in found["classes"]] == [0.1, 0.9, None]
    assert [row["epoch_seconds"] for row in found["epochs"]] == [2.0, 2.0, 2.0, None]


def judged(given: ReportInputs, **verdicts: str) -> ReportInputs:
    """The inputs with other verdicts of these kinds."""
    changed = [{**v, "verdict": verdicts.get(v["kind"], v["verdict"])} for v in given.verdicts]
    check = given.cam_check["verdict"]
    check = {**check, "verdict": verdicts.get("cam_trust", check["verdict"])}
    return dataclasses.replace(given, verdicts=changed, cam_check={**given.cam_check, "verdict": check})


def test_the_summary_tells_each_verdict_as_it_was_judged(html: str, inputs: Inputs) -> None:
    words = section(html, "summary")
    for kind in KINDS.keys() - {"cam_trust"}:
        # the baseline also stands beside the accuracy
        assert words.count(f"{kind} of &lt;script&gt;") == 1 + (kind == "baseline"), kind
    assert words.index("accuracy of") < words.index("class_starved of") < words.index("decided_schedule of")
    assert f"{len(FAULTS)} faults found" in words and "Yes, they show where" in words
    assert re.search("50.0% of .*, 20 images, are classified as", words)
    assert "0.05, by the rule, checked by the range test (lr_search.method=auto)" in words
    none = section(build_report(judged(inputs(), **dict.fromkeys(FAULTS, "not_found")), {}), "summary")
    assert "Nothing found" in none
    assert "shortcut of" not in none, "what was not found is named, not told"
    unknown = judged(inputs(), cam_trust="unknown", label_errors="unknown", shortcut="not_found")
    words = section(build_report(unknown, {}), "summary")
    assert f"{len(FAULTS) - 2} faults found" in words
    assert f"not found: {KINDS['shortcut']}. Cannot be told from these images: {KINDS['label_errors']}." in words
    assert "trusted? Cannot be told" in words


def test_a_page_on_three_test_images(inputs: Inputs) -> None:
    given = judged(inputs(), accuracy="unknown", baseline="unknown")
    given.verdicts[0]["value"] = None
    given.metrics.update({"num_test_groups": 9, "num_test_images_effective": 7.5})
    html = build_report(given, {})
    words = section(html, "summary")
    assert "How good is it? accuracy of" in words and "50.00%" not in words
    assert "of 120 test images in 9 groups are right" in section(html, "metrics")
    assert "count images of one group as independent" in section(html, "classes")


@pytest.mark.parametrize(
    ("taken_from", "num_tests", "reason", "told", "summary"),
    [
        (
            "train.lr",
            0,
            "train.lr was given",
            "0.3 was given as train.lr. No range test was run",
            "0.3, given as train.lr.",
        ),
        ("train.lr", 2, "it diverged", "0.3 was given as train.lr. No range test was used", "0.3, given as train.lr."),
        ("rule", 0, "it is too short", "0.3 is a cautious rate", "0.3, a cautious rate that no range test checked"),
    ],
)
def test_without_a_range_test_neither_plot_nor_table_of_it_is_shown(
    inputs: Inputs, figures: dict[str, Figure], taken_from, num_tests, reason, told, summary
) -> None:
    given = inputs()
    best_lr = {"lr": 0.3, "method": "minimum", "candidates": {}, "num_tests": num_tests, "unread": reason}
    provenance = given.provenance | {"model": {"lr": 0.3, "lr_from": taken_from}, "lr_search": best_lr}
    untested = dataclasses.replace(given, provenance=provenance, best_lr=best_lr, lr_curve=given.lr_curve.head(0))
    drawn = {name: figure for name, figure in figures.items() if name != "lr_curve_plot"}
    html = build_report(untested, drawn)
    found = section_html(html, "range-test")
    assert told in section(html, "range-test") and f"because {reason}." in section(html, "range-test")
    assert "<table" not in found and "<svg" not in found and "Short tests" not in found
    assert summary in section(html, "summary") and "lowest loss" not in section(html, "summary")


def test_training_is_told_with_its_drops_and_its_time_but_no_second_accuracy_of_test_images(html: str) -> None:
    told = section(html, "training")
    for figure in ("50 images per second", "8.0 s in training", "of which 10.0%", "2 0.1 → 0.02 1 epoch without"):
        assert figure in told
    assert "test" not in told.partition("Speed")[0].replace("latest", "")


def test_a_planted_shortcut_has_a_section_of_its_own(html: str, inputs: Inputs) -> None:
    assert 'id="shortcut"' not in html
    page = build_report(inputs(planted=True), {})
    assert "50.0% 25.0% 0.0% 100.0% 40" in section(page, "shortcut")
    assert facts(page)["shortcut"]["classes"][1]["taken_tagged"] == 1.0


def test_drawn_data_and_planted_faults_are_told_on_top(html: str, inputs: Inputs) -> None:
    given = inputs()
    given.provenance["data"]["train"] |= {"faults": {"labels:0.05": [1, 2], "leak:20": [3]}, "drawn": True}
    given.provenance["data"]["train"]["corrections"] = {"kept": 3, "relabelled": 5, "dropped": 2, "rows": [["x"] * 6]}
    page = build_report(given, {})
    assert "3 images were checked and kept, 5 relabelled and 2 dropped" in section(page, "corrections")
    assert facts(page)["corrections"]["earlier"] == [["x"] * 6] and "x" not in section(page, "provenance").split()
    for words in ('class="banner"', "Planted faults: labels:0.05, leak:20", "Drawn data, not CIFAR-10"):
        assert words in page and words not in html


@pytest.mark.parametrize(("num_images", "size"), [(60, 64), (25, 224), (350, 224)])
def test_many_classes_and_large_images_stay_under_five_megabytes(inputs: Inputs, num_images: int, size: int) -> None:
    given = inputs(num_images, tuple(f"class {k}" for k in range(100)), size=size)
    many = {name: pd.concat([getattr(given, name)] * 300) for name in ("label_error_candidates", "near_duplicates")}
    html = build_report(dataclasses.replace(given, **many), {})
    assert len(html) < 5e6 and html.count('class="mistake"') == num_images
    # training images alone carry buttons: of wrong labels, of pairs with a test image, of lowest margins
    assert html.count("data-image='") == 200 + 50 + 12
    assert "188 more, of 300 in all" in section(html, "labels") and "38 more" in section(html, "duplicates")
    assert len(facts(html)["classes"]) == 100
    # the table of all classes is folded, above it are its ends
    rows = re.findall(r'<th scope="row">(class \d+)</th><td', section_html(html, "classes"))
    assert len(rows) == 110 and rows[:5] == rows[10:15] and rows[5:10] == rows[-5:]


SCHEDULE = {"drops": [], "falls": ["A fall to zero"], "warmup": "A rise"}
WENT_ON = {
    "train": {"epochs": 4, "resizing": {"epochs": 2}}, "schedule": SCHEDULE,
    "model": {"lr": 0.04, "lr_from": "interrupted training"},
    "lr_search": {"lr": 0.05, "method": "auto", "candidates": {"auto": 0.05, "minimum": None}},
}  # fmt: skip
GIVEN = {"model": {"lr": 0.3, "lr_from": "train.lr"}}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (WENT_ON, {
            "training": ["In the first 2 epochs training images", "A fall to zero.", "A rise."],
            "summary": ["found 0.05"],
            # the reading was not used
            "range-test": ["rule, checked by the range test 0.05 lowest loss", "interrupted training 0.04 yes"],
        }),
        (GIVEN, {"summary": ["0.3, given as train.lr; the range test found 0.05"]}),
    ],
)  # fmt: skip
def test_what_made_the_model_is_told_and_nothing_else(html, inputs, changed, told) -> None:
    given = inputs()
    page = build_report(dataclasses.replace(given, provenance={**given.provenance, **changed}), {})
    for name, words in ((name, words) for name, of_section in told.items() for words in of_section):
        assert words in section(page, name) and words not in section(html, name)

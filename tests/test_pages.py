"""The project's pages: internal links lead somewhere, named files exist, pages are short and up to date."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING")), *sorted(ROOT.glob("docs/*.md"))]
NOTES = [ROOT / "CHANGELOG.md", *ROOT.glob("src/**/README.md"), *sorted(ROOT.glob("benchmarks/results/*.md"))]
MOST_LINES = {"README.md": 150, "ARCHITECTURE.md": 120, "CONTRIBUTING.md": 60}
# where the files that pages name by their paths lie
FOLDERS = ("", "src/s10_pipeline", "src/s10_pipeline/vision", "src/s10_pipeline/vision/data")


def prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES + NOTES, ids=name_of)
def test_internal_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        file, _, anchor = target.partition("#")
        if "://" not in target:
            assert (page.parent / file).exists(), target
            assert not anchor or anchor in anchors(page.parent / file if file else page), target


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "kedro-answers.md"], ids=name_of)
def test_named_files_exist(page):
    for name in set(re.findall(r"`((?:[\w.]+/)+\w+\.(?:py|yml|j2|ipynb|md))`", prose(page))):
        assert any((ROOT / folder / name).exists() for folder in FOLDERS), name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_are_short(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES.get(name_of(page), 300)
    assert not [line for line in lines if len(line) > 120]
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-|]|\d+\.) ?)", prose(page)):
        assert len(paragraph.split()) <= 60, paragraph


def test_the_page_of_parameters_is_up_to_date():
    made = subprocess.run([sys.executable, "docs/parameters.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout == (ROOT / "docs/parameters.md").read_text(encoding="utf-8"), "run make docs"


@pytest.mark.parametrize("path", sorted(ROOT.glob("conf/*/*.yml")), ids=name_of)
def test_configuration_opens_with_its_command_and_figures_that_stand_in_the_results(path):
    head = re.match(r"(?:#.*\n)+", path.read_text(encoding="utf-8"))[0]
    assert re.match(r"# (S10_DATA_ROOT=DIR )?kedro run\b", head)
    assert path.parent.name == "base" or f"--env={path.parent.name}" in head.splitlines()[0]
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    for figure in re.findall(r"\d+\.\d+ %", head):
        assert figure in results, figure

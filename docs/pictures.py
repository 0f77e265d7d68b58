"""Makes the pictures of README and docs anew (``make pictures``), from two runs of ``sample`` in build/pictures.

The figures and the example report are those of ``sample``; the report's section on a shortcut is of the run that
README tells of. What an earlier call finished there is not run again unless it is stale.
"""

import base64
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser import CHROMIUM, Browser, open_browser  # noqa: E402

IMAGES = ROOT / "docs/images"
# Width of each figure in pixels: most stand side by side.
WIDTHS = {
    "accuracy_curves": 800,
    "augmentation_preview": 800,
    "cam_check_plot": 800,
    "confusion_matrix": 800,
    "gradcam_gallery": 1200,
    "lr_curve_plot": 800,
    "reliability_diagram": 800,
}
SHORTCUT = "ingest.shortcut=heart,train.lr=0.2"


def run(name: str, *options: str) -> Path:
    """Run ``sample`` in a data root of its own; returns that folder."""
    root = ROOT / "build/pictures" / name
    command = [sys.executable, "-m", "kedro", "run", "--env=sample", "--only-missing-outputs", *options]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "S10_DATA_ROOT": str(root)}, check=True)
    return root / "sample"


def newest(root: Path, file: str) -> Path:
    """The newest version of an artifact."""
    return max(root.glob(f"*/{file}/*/{file}"))


def keep(picture: Image.Image, name: str, width: int) -> None:
    """Save a picture at this width, smaller where it is smaller, in a palette of 256 colours."""
    picture = picture.convert("RGB")
    picture.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
    picture.quantize(256).save(IMAGES / f"{name}.png", optimize=True)


def photograph(browser: Browser, page: Path, section: str) -> Image.Image:
    """A section of a page, as a window of 920 pixels shows it in light colours."""
    browser.call("Emulation.setScrollbarsHidden", hidden=True)  # a screenshot has none, so it is laid out wider
    browser.open(page.read_text(encoding="utf-8"), width=920)
    where = f"document.querySelector('{section}').getBoundingClientRect()"
    box = browser.run(f"(r => [r.x, r.y + scrollY, r.width, r.height])({where})")
    clip = dict(zip(("x", "y", "width", "height"), box, strict=True), scale=1)
    shot = browser.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
    return Image.open(io.BytesIO(base64.b64decode(shot["data"])))


def main() -> None:
    """Make every picture, or none: both runs come first."""
    if CHROMIUM is None:
        sys.exit("Error: no chromium, chromium-browser or google-chrome here, which draws the report; install one")
    sample, shortcut = run("sample"), run("shortcut", f"--params={SHORTCUT}")
    with tempfile.TemporaryDirectory() as folder, open_browser(Path(folder)) as browser:
        section = photograph(browser, newest(shortcut, "report.html"), "#shortcut")
    keep(section, "shortcut", 1200)
    shutil.copyfile(newest(sample, "report.html"), ROOT / "docs/example-report.html")
    for name, width in WIDTHS.items():
        with Image.open(newest(sample, f"{name}.png")) as figure:
            keep(figure, name, width)


if __name__ == "__main__":
    main()

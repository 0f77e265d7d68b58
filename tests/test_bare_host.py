"""``make test-gpu`` starts on a host that has torch, pytest and what the core imports, and no more."""

import os
import re
import shutil
import subprocess
import sys

import pytest

# what such a host lacks; pytest's plugins are left out by its own switch
LACKING = (
    "websockets", "kedro", "kedro_datasets", "kedro_viz", "nbformat", "nbclient", "onnx", "onnxruntime", "omegaconf"
)  # fmt: skip
BLOCK = f"""
import sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LACKING}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Lacking())
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_gpu_tests_are_collected_without_the_rest(root, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "PYTEST_"))}
    environment |= {
        "PYTHONPATH": str(tmp_path),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "--collect-only -q",
    }
    result = subprocess.run(
        ["make", "test-gpu", f"PYTHON={sys.executable}"], cwd=root, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    files = {file: file.read_text(encoding="utf-8") for file in root.glob("tests/**/test_*.py")}
    marked = [file for file, text in files.items() if re.search(r"^@pytest\.mark\.gpu", text, re.MULTILINE)]
    assert len(marked) >= 4
    for file in marked:
        assert f"{file.relative_to(root)}::" in result.stdout

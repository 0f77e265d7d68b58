"""``make install`` without CUDA, against small indices of stub packages: what is installed, and from where."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = shutil.which("uv", path=str(Path(sys.executable).parent))
PINS = dict(re.findall(r"^(torch|torchvision)==(\S+)$", (ROOT / "requirements-cpu.lock").read_text(), re.MULTILINE))

# a project without dependencies whose build needs no package
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "stub-project"
version = "1"
"""
WHEEL = "stub_project-1-py3-none-any.whl"
BACKEND = f"""
import shutil
def build_editable(folder, config_settings=None, metadata_directory=None):
    shutil.copy("stub-project/{WHEEL}", folder)
    return "{WHEEL}"
"""


def add_wheel(index: Path, name: str, version: str, requires: str = "", script: str = "") -> None:
    """Put an empty wheel into a package index, which is a folder of pages."""
    folder = index / name
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" * bool(requires)
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
        if script:
            entry = zipfile.ZipInfo(f"{stem}.data/scripts/{name}")
            entry.external_attr = 0o100755 << 16  # pip makes a script executable only if it was
            wheel.writestr(entry, script)
    links = "".join(f'<a href="{file.name}">{file.name}</a>\n' for file in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile with a small project and small locks."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    add_wheel(folder, "stub-project", "1")
    pins = "".join(f"{name}=={version}\n" for name, version in PINS.items())
    (folder / "requirements-cpu.lock").write_text(pins + "stub-other==1\n")
    (folder / "requirements.lock").write_text(pins + "stub-other==1\nnvidia-stub==1\n")
    return folder


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_torch_comes_from_the_index_that_was_named_and_cuda_stays_away(checkout, tmp_path, installer):
    if installer == "uv" and UV is None:
        pytest.skip("uv is not installed here")
    usual, cpu = tmp_path / "usual", tmp_path / "cpu"
    for name, version in PINS.items():
        add_wheel(usual, name, version, requires="nvidia-stub")
        add_wheel(cpu, name, f"{version}+cpu")
    for name in ("nvidia-stub", "stub-other"):
        add_wheel(usual, name, "1")
    if installer == "uv":  # without it, its installation fails and pip goes on
        add_wheel(usual, "uv", "1", script=f'#!/bin/sh\nexec {UV} "$@"\n')
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "MAKE", "MFLAGS"))}
    indices = {"PIP_INDEX_URL": usual.as_uri(), "UV_INDEX_URL": usual.as_uri()}
    settings = {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
    command = ["make", "install", f"TORCH_INDEX={cpu.as_uri()}", f"PYTHON={sys.executable}"]
    environment = {**outer, **indices, **settings}
    result = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ("pip goes on" in result.stdout) == (installer == "pip")
    assert "0.6 GB" in result.stdout.splitlines()[0]
    packages = checkout.glob(".venv/lib*/python*/site-packages/*.dist-info")
    installed = {
        p.name.removesuffix(".dist-info") for p in packages if not p.name.startswith(("pip-", "setuptools-", "uv-"))
    }
    assert installed == {"stub_other-1", "stub_project-1"} | {f"{name}-{version}+cpu" for name, version in PINS.items()}


def test_the_usual_installation_takes_the_whole_lock_and_tells_its_size(checkout):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    plan = subprocess.check_output(["make", "-n", "run"], cwd=checkout, env=environment, text=True)
    assert "3.3 GB" in plan and "-r requirements.lock" in plan and "torch.txt" not in plan


def test_the_locks_are_universal_and_differ_in_cuda_alone():
    def pins(name: str) -> set[str]:
        lock = (ROOT / name).read_text()
        assert "://" not in lock and "index-url" not in lock and "sys_platform" in lock, "universal"
        assert all(f"{package}==" in lock for package in ("kedro", "torch", "grad-cam", "kedro-viz"))
        assert "albumentations==2.0" in lock
        return set(re.findall(r"^\w.*$", lock, re.MULTILINE))

    whole, cpu = pins("requirements.lock"), pins("requirements-cpu.lock")
    assert cpu < whole and all(re.match(r"(nvidia-|cuda-|triton)", pin) for pin in whole - cpu)
    assert not [pin for pin in cpu if re.match(r"(nvidia-|cuda-|triton)", pin)]
    assert PINS.keys() == {"torch", "torchvision"}
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert f"--index-url URL torch=={PINS['torch']} torchvision=={PINS['torchvision']}" in page

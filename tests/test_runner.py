"""What records tell of where a stage ran."""

import subprocess

import pytest

from s10_pipeline.runner import RULES, describe


def test_a_stage_without_a_device_ran_on_the_cpu():
    assert describe({})["device"].startswith("cpu")


def test_the_commit_is_that_of_the_checkout(root):
    if not (root / ".git").exists():
        pytest.skip("no checkout")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
    git = RULES.describe({})["git"]
    assert git["commit"] == head.stdout.strip()
    assert isinstance(git["dirty"], bool)

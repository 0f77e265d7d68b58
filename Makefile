# Everything from a fresh checkout: each target installs what it needs into .venv first.
# docs/install.md has the same steps in plain commands, for systems without make.
SHELL := /bin/sh
BIN := .venv/bin
INSTALLED := .venv/.installed
# one process a core, few enough for a laptop's memory; a file's tests stay together, they share what they prepare;
# files in the order of tests/conftest.py, the longest first
TOGETHER := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# TORCH_INDEX=URL names a package index with CPU wheels: torch and torchvision come from there, and nothing of CUDA is installed
ifdef TORCH_INDEX
LOCK := requirements-cpu.lock
SIZE := about 0.6 GB (torch without CUDA)
TORCH_FIRST = grep -E '^torch(vision)?==' $(LOCK) >.venv/torch.txt && $(1) --no-deps --index-url '$(TORCH_INDEX)' -r .venv/torch.txt &&
else
LOCK := requirements.lock
SIZE := about 3.3 GB on Linux (torch with CUDA; without, by TORCH_INDEX=URL, 0.6 GB), elsewhere less than 1 GB
endif
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL_WITH = { $(TORCH_FIRST) $(1) -r $(LOCK) && $(1) --no-deps -e . ; }
export DO_NOT_TRACK := 1
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: help install run test test-all test-gpu lint docs viz bench pictures lock
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED)  ## .venv with exactly the pinned packages

# The first Python that fits; PYTHON=/path/to/python chooses another.
$(INSTALLED): $(LOCK) pyproject.toml
	@set -e; \
	fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; \
	python=""; \
	for candidate in $${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do \
	  if command -v "$$candidate" >/dev/null 2>&1 && "$$candidate" -c "$$fits" 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Error: no Python 3.11, 3.12 or 3.13 found ($${PYTHON:-$$(python3 --version 2>&1)}); install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "Error: $$python has no venv module; install it (Debian, Ubuntu: apt install python3-venv), or name another Python: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; fi; \
	echo "Installing into .venv with $$("$$python" --version): downloads $(SIZE) ..."; \
	"$$python" -m venv .venv; \
	{ $(PIP) uv 2>/dev/null && $(call INSTALL_WITH,$(UV)); } || \
	  { echo "uv could not install; pip goes on (minutes longer) ..."; $(call INSTALL_WITH,$(PIP)); }; \
	touch $(INSTALLED)

run: $(INSTALLED)  ## the whole pipeline on drawn images: two minutes once installed
	@$(BIN)/kedro run --env=sample
	@echo
	@echo "Next, on CIFAR-10 (downloads 163 MiB once):"
	@echo "  $(BIN)/kedro run              base recipe, 50 epochs: for a GPU (on two CPU cores, hours to a day)"
	@echo "  $(BIN)/kedro run --env=cpu    smaller recipe: for two CPU cores (15 minutes with bf16, else 30 to 60)"

test: $(INSTALLED)  ## the fast tests
	@$(BIN)/python -m pytest $(TOGETHER) -m "not slow and not browser and not gpu"

test-all: $(INSTALLED)  ## all tests that this machine can run
	@$(BIN)/python -m pytest $(TOGETHER) --durations=10

# On a host with torch and what the core imports, nothing is installed: no pytest plugins, no Kedro.
test-gpu:  ## the tests that need a GPU, by .venv or PYTHON=/path/to/python
	@PYTHONPATH=src:$$PYTHONPATH $(or $(PYTHON),$(wildcard $(BIN)/python),python3) -m pytest -m gpu \
	  -W ignore::pytest.PytestConfigWarning -o addopts=--import-mode=importlib $$(grep -rl mark.gpu tests --include='test_*.py')

lint: $(INSTALLED)  ## style, import rules, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

docs: $(INSTALLED)  ## docs/parameters.md, from the models of the parameters
	@$(BIN)/python docs/parameters.py >docs/parameters.md

viz: $(INSTALLED)  ## the pipeline graph in the browser
	@$(BIN)/kedro viz run --env=sample

bench: $(INSTALLED)  ## throughput, cost and memory of training, printed and kept in benchmarks/results/
	@$(UV) -r benchmarks/requirements.txt || $(PIP) -r benchmarks/requirements.txt || \
	  echo "Lightning and timm could not be installed; the comparison goes on without them"
	@$(BIN)/python benchmarks/throughput.py
	@$(BIN)/python benchmarks/throughput.py --depth 10 --width 32 --batches 20
	@$(BIN)/python benchmarks/cost.py

pictures: $(INSTALLED)  ## the pictures of README and docs, from two runs of sample
	@$(BIN)/python docs/pictures.py

COMPILE := $(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-header
lock: $(INSTALLED)  ## pin the newest packages that fit pyproject.toml, with and without CUDA
	@$(COMPILE) --upgrade -o requirements.lock
	@grep -oE '^(nvidia-|cuda-|triton)[a-z0-9-]*' requirements.lock >.venv/cuda.txt
	@$(COMPILE) --upgrade --no-annotate --constraints requirements.lock --excludes .venv/cuda.txt -o requirements-cpu.lock

# Everything runs in .venv; each target sets it up first.
#
#   make test PYTEST_ARGS="-n 0 -k split"      other options for pytest
#   make setup PYTHON=python3.12               another interpreter, 3.11 or newer
#   make setup PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#                                              torch without CUDA: 200 MB in place of gigabytes

PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_ARGS ?= -n 2
REAL_ARGS ?=
README_ARGS ?=
# `make real` adds the real models; `make demo DEMO_ARGS=` takes the shipped backbones all the same.
DEMO_ARGS ?= $(if $(and $(wildcard real/registry/smollm2/manifest.json),$(wildcard \
  real/registry/gemma/manifest.json)),--real --registry real/registry)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-complete
UNFINISHED := $(VENV)/.setup-unfinished

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-bits check lint format types imports docs readme bench real clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install the project with every tool

# pip takes a package whose files were half copied for an installed one. So a setup that was killed
# leaves a marker behind, and the next one starts over; one that merely failed was rolled back by pip.
$(STAMP): pyproject.toml constraints.txt
	@if [ -e $(UNFINISHED) ]; then \
	  echo "The last setup was interrupted: making $(VENV) anew."; rm -rf $(VENV); \
	fi
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  command -v $(PYTHON) >/dev/null || \
	    { echo "No $(PYTHON) here. Name an interpreter: make PYTHON=/path/to/python3.11" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is `$(PYTHON) -V 2>&1`; Python 3.11 or newer is needed." \
	      "Name one: make PYTHON=python3.11" >&2; exit 1; }; \
	  $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "$(PYTHON) lacks venv (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }; \
	  rm -rf $(VENV) && mkdir $(VENV) && touch $(UNFINISHED) && $(PYTHON) -m venv $(VENV); \
	fi
	@touch $(UNFINISHED)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev]' || \
	  { rm -f $(UNFINISHED); exit 1; }
	@rm -f $(UNFINISHED)
	@touch $@

demo: $(STAMP) ## a whole move with its controls, on real models where they were added
	$(BIN)/abi demo $(DEMO_ARGS)

# One thread per process: two test processes with two threads each slow one another down. Bytecode is kept, also
# where the environment says otherwise, as those of containers do: hundreds of processes start.
test: $(STAMP) ## the tests
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST_ARGS)

# Other instructions round otherwise: what compares bits must not rest on those of one processor.
test-bits: $(STAMP) ## the tests that compare bits, as an older processor computes
	OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2 \
	  $(BIN)/python -m pytest $(PYTEST_ARGS) -m bits

check: lint format types imports ## every static check

lint: $(STAMP)
	$(BIN)/ruff check .

format: $(STAMP)
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/pyright

imports: $(STAMP)
	$(BIN)/lint-imports

docs: $(STAMP) ## the site, in build/site; strict, without the network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# On another Python, in an empty environment: make readme README_ARGS="--abi DIR/bin/abi --brief"
readme: $(STAMP) ## README's commands from top to bottom, in build/readme (hours; README_ARGS=--brief: less)
	$(BIN)/python tests/benchmarks/readme.py $(README_ARGS)

bench: $(STAMP) ## every benchmark in tests/benchmarks
	@for script in $(sort $(filter-out %/bench_real.py %/bench_real_verbs.py,$(wildcard tests/benchmarks/bench_*.py))); do \
	  echo "== $$script"; $(BIN)/python $$script || exit 1; \
	done

real: $(STAMP) ## fetch two real models and move modules between them (hours; can be stopped)
	$(BIN)/python tests/benchmarks/fetch_real.py
	$(BIN)/python tests/benchmarks/bench_real.py $(REAL_ARGS)
	$(BIN)/python tests/benchmarks/bench_real_verbs.py

clean: ## remove caches, builds and what the demo wrote (.venv stays)
	rm -rf abi-demo build dist .pytest_cache .ruff_cache .import_linter_cache *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

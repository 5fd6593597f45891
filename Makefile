# Every target sets up what it needs: `make demo` or `make test` may be the first command.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TYPESCRIPT := 7.0.2
TSC := $(VENV)/.typescript-$(TYPESCRIPT)
SCALE := $(VENV)/.scale
WITH_NODE := PATH="$(CURDIR)/$(BIN):$$PATH"
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo report smoke test test-unit coverage torture scale lint format docs docs-serve bench bench-gpu clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment (torch: some minutes, some GB)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "nst needs Python 3.11 or newer; name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(READY)

demo: $(READY) ## Noise against content initialisation, tracked, and a page that compares them
	$(BIN)/nst -m hydra/launcher=vectorized init=noise,content image.size=160 \
		steps=100 snapshot_every=10
	$(BIN)/nst-report compare sweep=last

report: $(READY) ## Every table of the report; REPORT=losses: of another. Runs what is missing, makes the page
	$(BIN)/nst-report report --run $(if $(REPORT),--report $(REPORT)) hydra/launcher=vectorized $(ARGS)

smoke: $(READY) ## Every experiment, tiny, and the page of them in outputs/smoke/report
	$(BIN)/nst-report report --run --report all --outputs outputs/smoke hydra/launcher=vectorized image.size=32 steps=3 snapshot_every=3 seed=0

test: $(READY) ## Run all tests but the slow ones
	$(PYTEST) $(ARGS)

test-unit: $(READY) ## Run the quick ones: functions, the network and configs, in less than a minute
	$(PYTEST) tests/unit

coverage: $(READY) ## Run them and print which branches they take: the total, and the worst files
	$(PYTEST) --cov --cov-report=
	$(BIN)/coverage report | awk 'NR <= 17 || /^TOTAL/'

torture: $(READY) ## The slow tests too: 60 kills, a thousand configs, every fault (docs/reliability.md)
	$(PYTEST) -rP -m "slow or not slow" --hypothesis-profile=thorough

scale: $(SCALE) ## The same sweep on a real Slurm and a real Ray of two nodes each, and in one process
	$(BIN)/python -m tests.scale $(ARGS)

$(SCALE): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[slurm,ray]'
	@touch $(SCALE)

lint: $(TSC) ## Check style, types (of Python and JavaScript) and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 nst hydra_plugins  # text files name their encoding
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 nst hydra_plugins  # what Windows lacks
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile
	$(WITH_NODE) $(BIN)/tsc --project nst/compare/templates/scripts

$(TSC): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[lint]'
	$(WITH_NODE) $(BIN)/npm install --loglevel=error --no-fund --global --prefix $(VENV) typescript@$(TYPESCRIPT)
	@touch $(TSC)

format: $(READY) ## Put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Build the site of the documentation: build/site; a warning fails
	$(BIN)/python -m docs.site

docs-serve: docs ## Build it and show it at http://localhost:8000
	$(BIN)/python -m http.server --bind localhost --directory build/site

bench: $(READY) ## Speed and memory against the textbook loop; REPORT=1: the whole report, hours
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.compare
	$(if $(REPORT),$(BIN)/python -m tests.bench.report)

bench-gpu: $(READY) ## Speed, memory and agreement on a GPU; without one, a test of itself
	$(BIN)/python -m tests.bench.gpu

clean: ## Remove caches and the virtual environment; keep outputs/
	rm -rf $(VENV) .ruff_cache .mypy_cache .pytest_cache .hypothesis .coverage* dist build

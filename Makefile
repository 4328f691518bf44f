# The entrance: make demo, make test, make lint, make fix, make test-more, make test-browser, make help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-more test-browser web bench lint fix clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /: /'

# torch first and pinned: any looser request pulls gigabytes of CUDA packages
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: .venv/installed  ## simulate heads, pretrain, compare all strategies, write the page (some minutes)
	$(BIN)/neurotransfer demo --out demo-run

test: .venv/installed  ## the tests that need no GPU, no network and no data (some minutes)
	$(BIN)/python -m pytest -q -n 2

test-more: .venv/installed  ## the slow tests and those on real heads, as far as they can run here
	$(BIN)/python -m pytest -q -n 2 -m 'slow or shared'

test-browser: .venv/installed  ## the pages in a real browser, Debian's Chromium; screenshots in browser-screenshots/
	NEUROTRANSFER_SCREENSHOTS=$(CURDIR)/browser-screenshots $(BIN)/python -m pytest -q -n 2 -m browser

web:  ## bundle what the pages need in a browser anew, with npm; what it writes is committed
	cd web && npm ci --no-audit --no-fund && npm test && npm run build

bench: .venv/installed  ## tables of speed: ours against a plain loop, TorchIO, and what the machine can multiply (under 10 minutes)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/training.py --quick
	$(BIN)/python benchmarks/closed_form.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/together.py --quick
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/simulation.py --quick
	$(BIN)/python benchmarks/engine.py --quick
	$(BIN)/python benchmarks/diagnosis.py
	@echo "with the real heads of DATA: benchmarks/realism.py DATA, benchmarks/preparation.py DATA, benchmarks/drift.py DATA,"
	@echo "  benchmarks/halving.py DATA; whole studies through the command, a quarter of an hour: benchmarks/study.py"
	@echo "  how often diagnose names the cause that was planted, an hour or two: benchmarks/planted.py; a sweep that shows double descent: benchmarks/sweep.py FOLDER; the regret of auto: benchmarks/auto.py"
	@echo "on a machine with an NVIDIA GPU: $(BIN)/python benchmarks/gpu.py"

lint: .venv/installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: .venv/installed  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was made here
	rm -rf .venv demo-run browser-screenshots .pytest_cache .ruff_cache .mypy_cache .hypothesis

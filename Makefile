# Each target makes its own .venv when it is missing or older than what it is made from.
PYTHON ?= python3
# Exact versions of everything; empty: whatever the ranges of pyproject.toml allow.
CONSTRAINTS ?= constraints.txt
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.installed
DEMO ?= demo

.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz lint coverage bench faults release clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything in it

$(STAMP): pyproject.toml edge/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(addprefix -c ,$(CONSTRAINTS)) -e ./edge -e '.[dev]'
	touch $@

demo: $(STAMP) ## draw samples, train, calibrate, export, run on an untrimmed video (2 to 4 minutes)
	$(BIN)/python samples/demo.py $(DEMO)

test: $(STAMP) ## run all tests
	$(BIN)/python -m pytest -n auto --dist worksteal

fuzz: $(STAMP) ## run every seed of the hostile inputs, of which `make test` runs a share
	SEQVISION_FUZZ=all $(BIN)/python -m pytest -n auto --dist worksteal --timeout 0 -m fuzz

lint: $(STAMP) ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## measure on this machine; ONLY=training (or order, live, stream, load, views) for one part
	PYTHONPATH=samples $(BIN)/python -m bench $(DEMO) $(ONLY)

faults: $(STAMP) ## make cameras, streams, files and outputs fail; write docs/faults.md
	rm -rf build/faults
	$(BIN)/python -m pytest tests/faults
	PYTHONPATH=tests:tests/edge $(BIN)/python -m faults.table docs/faults.md

coverage: $(STAMP) ## run all tests and say which lines none of them ran; build/coverage/index.html
	$(BIN)/python -m coverage erase
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=
	$(BIN)/python -m coverage html --directory build/coverage
	$(BIN)/python -m coverage report --skip-covered --sort=miss | tail -n 40

release: $(STAMP) ## build both packages into dist/, and try them in a fresh environment
	PYTHON=$(PYTHON) CONSTRAINTS=$(CONSTRAINTS) tests/release.sh $(BIN)/python

clean: ## remove what the targets made
	rm -rf $(VENV) $(DEMO) build dist

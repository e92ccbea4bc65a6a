# Everything a developer, a user and the continuous integration run. Nothing needs to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?=
.PHONY: setup demo test unit check bench docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e ".[dev]"
	touch $@

demo: setup
	$(BIN)/scanprior demo $(if $(DATA),--data $(DATA))

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --cov=scanprior

unit: setup
	$(BIN)/pytest -m "not slow"

bench: setup
	$(BIN)/python benchmarks/speed.py

docs: setup
	$(BIN)/pytest tests/test_docs.py

clean:
	rm -rf $(VENV) demo dist build

# Everything a developer, a user and the continuous integration run. Nothing needs to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
STAMP := $(VENV)/.installed
DATA ?=
.PHONY: setup demo test unit check bench docs lock clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef CI
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
else
	$(PIP) install -c constraints.txt hatchling editables torch==2.13.0
	$(PIP) install --no-build-isolation -c constraints.txt -e ".[dev]"
endif
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

# The same packages by hash, for the continuous integration (it sets CI): all of every release's
# files. The lock names no build of torch: which it is depends on the index.
lock: setup
	$(PIP) install -c constraints.txt pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --no-strip-extras --no-header --no-annotate \
		--no-emit-options --all-build-deps --extra dev -c constraints.txt -o $(VENV)/lock pyproject.toml
	sed 's/+cpu / /' $(VENV)/lock > requirements.lock

clean:
	rm -rf $(VENV) demo dist build

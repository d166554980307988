# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,docs,prune,jax,parquet,pandas,remote,dask

.PHONY: demo test test-slow test-all fuzz mutations check format fixtures bench docs package pyz clean

demo: $(VENV)/.installed
	$(BIN)/modelinspect demo

test: $(VENV)/.installed-all
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow"

# What trains, converts, opens a browser, or tries thousands of inputs.
test-slow: $(VENV)/.installed-all
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "slow"

test-all: test test-slow

# Each family of work on hostile inputs, for SECONDS each; what escapes, or costs too much, is kept in FINDINGS.
SECONDS ?= 60
FINDINGS ?= findings
fuzz: $(VENV)/.installed-all
	$(BIN)/python -m tests.fuzz all --seconds $(SECONDS) --findings $(FINDINGS)

# The full count of mutations: 20,000 of each format, and cuts at every border of every fixture.
mutations: $(VENV)/.installed-all
	MODELINSPECT_MUTATIONS=20000 MODELINSPECT_TRUNCATED_BYTES=1000000000000 $(BIN)/python -m pytest -q -n auto tests/contract -k "mutated or truncated"

check: $(VENV)/.installed-all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(VENV)/.installed-all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fixtures: $(VENV)/.installed-all
	$(BIN)/python fixtures/make.py

bench: $(VENV)/.installed-all
	$(BIN)/python benchmarks/speed/run.py

docs: $(VENV)/.installed-all
	$(BIN)/python docs/generate_reference.py
	$(BIN)/python docs/generate_rules.py
	$(BIN)/python docs/generate_messages.py
	$(BIN)/python docs/article/make.py
	$(BIN)/python benchmarks/accuracy/published.py --page
	$(BIN)/modelinspect embed --quiet README.md $$(find docs -name '*.md')
	$(BIN)/python docs/generate_tables.py
	$(BIN)/python docs/run_blocks.py
	$(BIN)/python -m sphinx -W --keep-going -n -q -E -b html docs site

package: $(VENV)/.installed-all
	$(BIN)/python scripts/check_package.py

# The program as one file, for this kind of system and this release of Python.
pyz: $(VENV)/bin/python
	$(BIN)/python scripts/build_pyz.py --constraint constraints.txt

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("modelinspect needs Python 3.11 or newer: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-all: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist site

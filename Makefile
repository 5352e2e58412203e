# make demo: install into ./.venv and run the CaloFlow pipeline on the shipped showers
# make test: install into ./.venv if needed and run the tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
EDITABLE := --config-settings editable_mode=compat

KERNELS := setup.py $(wildcard hepflows/kernels/native/*)

.PHONY: demo test test-slow lint docs wheel-test asan benchmark clean help

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

# torch first, at its tested version, so that nothing pulls in another build of it; a changed source of the kernels is compiled again
$(VENV)/base.stamp: pyproject.toml constraints.txt $(KERNELS)
	$(PYTHON) -c 'import sys; sys.exit("hepflows needs Python 3.11 or newer: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) $(EDITABLE) -e .
	touch $@

$(VENV)/test.stamp: $(VENV)/base.stamp
	$(PIP) $(EDITABLE) -e '.[test]'
	touch $@

$(VENV)/lint.stamp: $(VENV)/test.stamp
	$(PIP) $(EDITABLE) -e '.[lint]'
	touch $@

$(VENV)/docs.stamp: $(VENV)/base.stamp
	$(PIP) $(EDITABLE) -e '.[docs]'
	touch $@

demo: $(VENV)/base.stamp ## train, generate, judge and report on the shipped showers, about 2 minutes
	$(BIN)/hepflows calorimeter run data/calorimeter/eplus.root --out runs/demo --preset demo --resume

# Geant4 has a process of its own: what it does not like ends the process that it is in
GEANT4 := tests/applications/calorimeter/simulate/test_geant4.py

test: $(VENV)/test.stamp ## the tests and the examples of the docstrings, a process a core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --max-worker-restart 0 --ignore $(GEANT4)
	$(BIN)/python -m pytest $(GEANT4)
	$(BIN)/python -m pytest --doctest-modules hepflows

test-slow: $(VENV)/test.stamp ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/lint.stamp ## ruff, mypy, layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/docs.stamp ## build the site into docs/_build/html, warnings are errors
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs docs/_build/html

wheel-test: $(VENV)/test.stamp ## build wheels without and with a compiler and use them from an empty environment elsewhere
	PYTHON=$(PYTHON) VENV=$(VENV) sh tests/wheel.sh

asan: $(VENV)/test.stamp ## the tests of the compiled kernels under AddressSanitizer and UndefinedBehaviorSanitizer, 7 minutes
	VENV=$(VENV) sh tests/asan.sh

benchmark: $(VENV)/test.stamp ## speed, accuracy and memory against nflows, zuko and normflows, 5 minutes
	$(PIP) $(EDITABLE) -e '.[benchmark]'
	$(BIN)/python -m tests.benchmarks.core

clean: ## remove what was built, not what was run
	rm -rf build dist *.egg-info docs/_build .pytest_cache .mypy_cache .ruff_cache hepflows/kernels/_native*.so

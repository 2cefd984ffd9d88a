# Two commands do everything on a machine with Python 3.11 or newer and make:
#   make demo   install into .venv, then run the demonstration
#   make test   install into .venv, then run the tests, doctests and the code of every page
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Waiting threads must not spin: the cores are few and shared.
export OMP_WAIT_POLICY ?= passive

.PHONY: demo test slow lint docs wheel install

demo: $(VENV)/installed
	$(BIN)/gnnspin reproduce 120-degree --size small --output runs/120-degree --resume

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto

slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

wheel: $(VENV)/installed
	$(BIN)/python -m build --wheel

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs,distributed]'
	touch $@

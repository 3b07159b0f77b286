# make demo   set up, then: a small synthetic world -> train -> evaluate -> one HTML report
# make test   set up, then: formatting, types, tests
# make world-clip  train the small CLIP of the package anew, about an hour on two cores
# make clean  forget the environment and the demo

PYTHON ?= python3
BIN := .venv/bin
DEMO ?= demo

.PHONY: demo test world-clip clean

demo: .venv/installed
	$(BIN)/unbraid demo --out $(DEMO)

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2

world-clip: .venv/installed
	$(BIN)/python scripts/train_world_clip.py --work build/world-clip --keep

clean:
	rm -rf .venv $(DEMO)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "unbraid needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

# --no-compile: byte code is made when a module is first imported, instead of for all of them now
.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing, a few minutes: most of it is torch"
	$(BIN)/pip install --no-compile --constraint constraints.txt --editable .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $@

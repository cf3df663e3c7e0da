# make demo   set-up and the main job        make test   set-up and all tests
# make check  lint, types, arrows            make bench  the table of ratios (ONLY=… for one)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[test]'
	touch $@

# make demo    set-up, then a private pool runs ten repetitions and brings them home
# make test    set-up, then all checks and all tests
# make check   lint, types, arrows between the packages
# make bench   the table of ratios (ONLY=throughput for one of them)
# make clean   remove what these have made
#
# Set-up is one folder, .venv, made again when pyproject.toml has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check lint bench clean

demo: $(VENV)/.ready
	$(BIN)/python examples/demo/demo.py

# A whole run of the tests includes the arrows, so only lint and types are left to do before.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadgroup
	@echo 'The container tests, as an ordinary user:'
	@tests/rootless/test.sh $(BIN)/python

check: lint
	$(BIN)/python -m pytest tests/test_architecture.py

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.ready-bench
	$(BIN)/python -m benchmarks $(ONLY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
	  { echo 'There is no "$(PYTHON)" here. As root: apt-get install python3 python3-venv'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'PESC needs Python 3.11 or later as "$(PYTHON)"; name another: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo 'Python cannot make virtual environments here. As root: apt-get install python3-venv'; exit 1; }
	@echo 'Setting up in $(VENV) (once; about a minute) …'
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@echo 'Fetching what the tests need …'
	@$(INSTALL) --editable '.[test]'
	@touch $@

$(VENV)/.ready-bench: $(VENV)/.ready
	@echo 'Fetching the peers to measure against …'
	@$(INSTALL) --editable '.[bench]'
	@touch $@

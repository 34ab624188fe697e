# Two commands do all the set-up on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXPERIMENT ?= adult
# three processes on two cores: half of the tests wait for processes of their own
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder
# packages are installed without bytecode: where none may be written, each process compiles all it imports, half its start
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-all lint bench clean

run: $(VENV)/.run  ## set up, run the main job on real data, name the report
	$(BIN)/mldlc run experiment=$(EXPERIMENT)
	@echo "Open the report: $$(cd outputs/latest && pwd -P)/report.html"

test: $(VENV)/.test  ## set up, run all tests
	$(BIN)/python -m pytest $(SPREAD)

test-all: $(VENV)/.test  ## also what takes minutes: five split seeds, long crash tests; a table of all strategies
	MLDLC_TEST_ALL=1 $(BIN)/python -m pytest $(SPREAD)
	$(BIN)/python -m tests.bench.strategies

lint: $(VENV)/.dev  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test  ## the measurements of tests/bench, as a table
	$(BIN)/python -m tests.bench

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --no-compile -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/pip install -q --no-compile -c constraints.txt -e ".[test]"
	@touch $@

$(VENV)/.dev: $(VENV)/.run  # with what the tests need: types are checked in them, too
	$(BIN)/pip install -q --no-compile -c constraints.txt -e ".[test,dev]"
	@touch $(VENV)/.test $@

clean:  ## remove the virtual environment and everything generated
	rm -rf $(VENV) build dist *.egg-info
	find outputs -mindepth 1 ! -name README.md -delete

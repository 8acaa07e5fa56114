# The recipes that a person and the build run alike. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up test lint docs bench sim chaos kills fuzz screenshots test-browser test-packages test-compose lock clean

help:  ## list the recipes
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# The locks name every package, so nothing is left to resolve: pip's resolver would look at a version that came out
# since, and older ones then refuse an extra (`coverage[toml]`) as "not pinned". `pip check` says if one is missing.
$(VENV)/.runtime: requirements.txt requirements-build.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Licet needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements.txt -r requirements-build.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt sdk/pyproject.toml
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e sdk
	$(BIN)/python -m pip check
	touch $@

up: $(VENV)/.runtime  ## start everything on this machine, with a simulated Salesforce
	@exec $(BIN)/licet up --simulate $(ARGS)

# Tests wait as long as they compute: four processes keep two cores busy.
TESTS := -n 4 --dist worksteal --ignore=tests/packages --ignore=tests/docs/test_tutorial.py
test: $(VENV)/.dev  ## all tests but a browser's, with branch coverage; the storms without it
	$(BIN)/python -m pytest $(TESTS) -m "not storm and not browser" --cov --cov-report=term:skip-covered $(ARGS)
	$(BIN)/python -m pytest $(TESTS) -q -m storm $(addprefix tests/,sim chaos kills fuzz answer consume sdk)

lint: $(VENV)/.dev  ## ruff, mypy, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src sdk/src sdk/examples simulator tests
	$(BIN)/lint-imports

$(VENV)/.docs: $(VENV)/.runtime requirements-docs.txt
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements-docs.txt
	touch $@

docs: $(VENV)/.docs  ## the documents as a site in site/, strict: each link and anchor leads somewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

$(VENV)/.bench: $(VENV)/.dev requirements-bench.txt
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements-bench.txt
	touch $@

bench: $(VENV)/.bench  ## the speed tables, each beside its limit in the same run
	$(BIN)/python -m benches

sim: $(VENV)/.dev  ## the road in simulated storms: SEEDS=10000, or SEED=n with its trace
	PYTHONPATH=tests $(BIN)/python -m sim

chaos: $(VENV)/.dev  ## everything is killed, paused and cut off under load: ROUNDS=20
	PYTHONPATH=tests $(BIN)/python -m chaos

kills: $(VENV)/.dev  ## workers are killed while they publish and licenses start and end: KILLS=50
	PYTHONPATH=tests $(BIN)/python -m kills

fuzz: $(VENV)/.dev  ## the API, the door and the topic, with what nobody would send: CASES=24000
	PYTHONPATH=tests $(BIN)/python -m fuzz

screenshots: $(VENV)/.dev  ## every page of the console into docs/images, at both widths, in light and dark
	PYTHONPATH=tests $(BIN)/python -W ignore -m console.screenshots

test-browser: $(VENV)/.dev  ## the console in a real browser, with axe-core, at both widths
	$(BIN)/python -m pytest $(TESTS) -q -m browser tests/console

test-packages: $(VENV)/.dev  ## both wheels, built and installed into empty environments; the tutorial as it stands
	$(BIN)/python -m pytest -q tests/packages tests/docs/test_tutorial.py

test-compose:  ## the compose file, end to end, on real or stand-in images
	tests/compose/run.sh

lock: $(VENV)/.dev  ## resolve the dependencies anew and write the hashed requirements files
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade requirements-build.in -o requirements-build.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade -c requirements.txt pyproject.toml requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade -c requirements-dev.txt requirements-bench.in -o requirements-bench.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade -c requirements-dev.txt requirements-docs.in -o requirements-docs.txt

clean:  ## remove what the recipes made (not the data of `make up`)
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage*

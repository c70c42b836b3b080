# Every goal sets up what it needs: `make test` and `make demo` work on a bare machine.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
FIXTURES := fixtures/out/.stamp
SEEDS ?= 1000
JOBS ?= 2
E2E_WORKERS ?= 4
WORKERS ?= 3

.PHONY: help setup demo test check bench clean companions sim sim-bugs

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt hatch_build.py
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@

$(FIXTURES): $(wildcard fixtures/*.py) feeds/boxes.py feeds/psi.py | $(STAMP)
	$(BIN)/python fixtures/generate.py fixtures/out
	$(BIN)/python fixtures/game_feed.py fixtures/out/game.ndjson
	@touch $@

setup: $(STAMP) $(FIXTURES)  ## make .venv with the lockstep command, and the fixtures

# Without what only developing needs: the game is on the screen in half the time.
$(BIN)/lockstep: pyproject.toml constraints.txt hatch_build.py
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -e . -c constraints.txt
	@touch $@

demo: $(BIN)/lockstep ui/libraries/.stamp  ## a live game on a page of its own: prints the address to open
	$(BIN)/lockstep demo

ui/libraries/.stamp: ui/libraries.json ui/libraries.py ui/outline.py
	@$(PYTHON) ui/libraries.py
	@touch $@

companions:
	@command -v chromium >/dev/null && command -v ffprobe >/dev/null && command -v redis-server >/dev/null && command -v faketime >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium redis-server ffmpeg faketime; \
	  else echo "chromium, redis-server, ffmpeg or faketime is absent: install them with your package manager; tests that need them will fail" >&2; fi; }

ui/node_modules/.stamp: ui/package.json
	cd ui && npm install --no-save --no-package-lock --no-audit --no-fund --silent
	@touch $@

# End to end, tests wait for streams most of the time: more of them at once than there are cores, and nothing that
# computes beside them. Bytecode is kept, whatever the environment says: they start hundreds of processes of ours.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup companions ui/node_modules/.stamp ui/libraries/.stamp  ## the whole suite: end to end, then unit and property
	@failed=0; \
	$(BIN)/pytest -q -n $(E2E_WORKERS) --dist worksteal -m e2e || failed=1; \
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m 'not e2e' || failed=1; \
	exit $$failed

check: setup  ## style, types, the dependency rule, the house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/house

sim: setup  ## simulate SEEDS games with everything that can break, in JOBS processes
	$(BIN)/python -m tests.sim --seeds 0-$$(( $(SEEDS) - 1 )) --jobs $(JOBS)

sim-bugs: setup  ## plant every bug in a copy, and let the simulator find it: half an hour, on slow cores more than one
	$(BIN)/python -m tests.sim.bugs

bench: setup  ## measure against the yardsticks, in one run
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]' -c constraints.txt \
	  || echo "picows cannot be installed here: it is left out" >&2
	$(BIN)/python -m bench

clean:  ## remove everything that was made
	rm -rf $(VENV) ui/node_modules ui/libraries bench/peers/node_modules fixtures/out bench/out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

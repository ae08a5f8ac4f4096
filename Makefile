# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
ARGS ?=
# Tests wait as much as they compute: three workers keep two cores busy.
WORKERS ?= 3
export UV_CUSTOM_COMPILE_COMMAND = make lock
UV := scripts/uv
UV_READY := .uv/bin/uv
BIN := .venv/bin
SYNC := $(UV) pip sync --python $(BIN)/python --require-hashes
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline -e .

.PHONY: help demo test check unit bench fmt lock images clean setup setup-dev packages

help:  ## Show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup  ## Start the practice cluster and the web chat; ARGS='--ask "..." --approve --solo' tells the story alone
	@$(BIN)/opsthread demo $(ARGS)

test: packages setup-dev check  ## Everything: linters, types, layers, all tests
	@echo "== tests"; rm -f .pytest_cache/v/cache/lastfailed
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS) || { \
	  echo "== what failed, once more and alone: a busy machine fails a test once, a mistake fails it twice"; \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(ARGS); }

check: setup-dev  ## ruff, pyright strict (basedpyright), import-linter
	@echo "== ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "== types (strict)"; $(BIN)/basedpyright
	@echo "== layers"; $(BIN)/lint-imports --no-cache

unit: setup-dev  ## The unit tests alone
	@$(BIN)/python -m pytest -n 2 tests/unit $(ARGS)

bench: setup-dev  ## Every benchmark of tests/bench, one after another; figures go to docs/benchmarks.md by hand
	@for f in tests/bench/bench_*.py; do m=$$(basename $$f .py); echo "== $$m"; $(BIN)/python -m tests.bench.$$m || exit 1; done

images: packages setup-dev  ## Renew the screenshots of docs/images
	@OPSTHREAD_SCREENSHOTS=1 $(BIN)/python -m pytest tests/e2e $(ARGS)

fmt: setup-dev  ## Format and sort imports
	@$(BIN)/ruff check --fix-only . && $(BIN)/ruff format .

lock: $(UV_READY)  ## Renew the three locks: what runs, what tests, what the runner's image holds
	$(UV) pip compile pyproject.toml --extra embeddings --group build --universal --python-version 3.11 --generate-hashes \
	  --override overrides.txt --no-emit-index-url --upgrade -q -o requirements.lock
	$(UV) pip compile pyproject.toml --extra embeddings --group build --group dev -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --override overrides.txt --no-emit-index-url -q -o requirements-dev.lock
	$(UV) pip compile --group runner -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url -q -o requirements-runner.lock

clean:  ## Remove what make made (not your data directory)
	rm -rf .venv .uv .pytest_cache .ruff_cache .hypothesis

# --- set-up: uv by pip into a private venv, everything else from the hash-pinned locks

$(UV_READY):
	@scripts/bootstrap-uv $(PYTHON)

setup: .venv/.synced
setup-dev: .venv/.synced-dev

# The development set holds the runtime set, so whoever has the first needs no second sync.
.venv/.synced: requirements.lock pyproject.toml | $(UV_READY)
	@if [ -e .venv/.synced-dev ] && [ .venv/.synced-dev -nt requirements.lock ] && [ .venv/.synced-dev -nt pyproject.toml ]; then touch $@; exit 0; fi; \
	echo "Installing Opsthread's packages into .venv (640 MB; the first time about 300 MB to download) ..."; \
	{ [ -x $(BIN)/python ] || $(UV) venv --quiet --python $(PYTHON) .venv; } && $(SYNC) requirements.lock && $(INSTALL) && rm -f .venv/.synced-dev && touch $@

.venv/.synced-dev: requirements-dev.lock pyproject.toml | $(UV_READY)
	@echo "Installing Opsthread's packages and development tools into .venv (1.2 GB; the first time about 450 MB to download) ..."; \
	{ [ -x $(BIN)/python ] || $(UV) venv --quiet --python $(PYTHON) .venv; } && $(SYNC) requirements-dev.lock && $(INSTALL) && touch $@

packages:
	@scripts/install-packages

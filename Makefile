# `make` alone lists the targets.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
READY := $(VENV)/.ready
# Programs that make something of the project, in an environment of their own.
TOOLS := $(VENV)/tools/bin

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.PHONY: venv
venv: $(READY) ## Make .venv with .venv/bin/durazzo, at the versions of constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "durazzo needs Python 3.11 or newer (make PYTHON=python3.12 venv)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "this Python cannot make environments: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: demo
demo: $(READY) ## See it: charge, fail, retry and kill a worker, with nothing set up (seconds)
	@$(BIN)/durazzo demo

.PHONY: test
test: $(READY) ## Everything a newcomer needs to trust a checkout (a few minutes)
	$(BIN)/pytest -n 4 --dist worksteal

.PHONY: lint
lint: $(READY) ## Format, lint, types and layers, without a test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: check
check: lint ## That and the fast tests (a minute or two)
	$(BIN)/pytest -n 2 -q -m 'not process and not slow'

.PHONY: foreign
foreign: $(READY) ## The published charge against servers of others (needs npm, at first PyPI as well)
	$(BIN)/pytest -m foreign tests/foreign

.PHONY: browser
browser: $(READY) ## Flower in headless Chromium (needs one of the system's, at first PyPI)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	$(BIN)/pytest -m browser tests/browser

.PHONY: screenshots
screenshots: ## That, and the pictures of ops/docs/flower.md anew
	@DURAZZO_REWRITE_GOLDEN=1 $(MAKE) browser

.PHONY: format
format: $(READY) ## Format the code and fix what can be fixed by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: bench
bench: $(READY) ## Measure: round trips, bytes, and runs a second beside a hand-written chain
	$(BIN)/python -m ops.bench spine

.PHONY: chaos
chaos: $(READY) ## A storm of kills, cuts and lost answers, judged by the books (minutes; CHAOS="--seed 7 --runs 500")
	@nice -n 10 $(BIN)/python -m ops.chaos $(CHAOS)

.PHONY: lock
lock: $(READY) ## Write the installed versions into constraints.txt, and hashes of the image's into ops/deploy
	@{ head -1 constraints.txt; $(BIN)/pip freeze --exclude-editable; } > $(VENV)/lock && cp $(VENV)/lock constraints.txt
	@$(TOOLS)/uv --version >/dev/null 2>&1 || { $(PYTHON) -m venv $(TOOLS:/bin=) && $(TOOLS)/pip install --quiet uv; }
	@for what in requirements requirements-build; do \
	  from=pyproject.toml; test $$what = requirements || from=ops/deploy/requirements-build.in; \
	  { head -1 ops/deploy/$$what.txt; $(TOOLS)/uv pip compile --quiet --universal --generate-hashes \
	    --no-header --no-annotate --constraint constraints.txt $$from; } > $(VENV)/lock \
	  && cp $(VENV)/lock ops/deploy/$$what.txt || exit 1; done

.PHONY: audit
audit: ## Ask for known holes in what the image installs (needs PyPI's advisories)
	@test -x $(TOOLS)/pip-audit || { $(PYTHON) -m venv $(TOOLS:/bin=) && $(TOOLS)/pip install --quiet pip-audit; }
	$(TOOLS)/pip-audit --require-hashes --disable-pip --requirement ops/deploy/requirements.txt \
	  --requirement ops/deploy/requirements-build.txt

.PHONY: clean
clean: ## Remove the environment and the caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

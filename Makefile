# One command each: make run, make test. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV ?= uv

.DEFAULT_GOAL := help
.PHONY: help run test test-read-cache test-pythons check format lint types openapi contract sdk sdk-matrix portal browser-test soak outages operations bench bench-quick lock lock-contract licences clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(BIN)/.runtime: requirements/runtime.lock requirements/build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "crm-api needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module; install it, on Debian and Ubuntu with: apt install python3-venv"; exit 1; }
	@test -w . || { echo "This folder is read-only; copy the repository to a folder that you may write to"; exit 1; }
	@echo "Setting up $(VENV): about half a minute, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.lock -r requirements/build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/.runtime requirements/dev.lock
	@echo "Installing the development packages: about a minute, once"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

run: $(BIN)/.runtime ## Serve the demo on http://localhost:4012 (SQLite and HubSpot emulator, data in .demo/)
	$(BIN)/crm-api demo

test: check ## Lint, types, and all tests on SQLite, PostgreSQL and Valkey
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Only tests of the application use the cache, and it does not depend on the kind of database.
test-read-cache: $(BIN)/.dev ## Run the tests of the application with the read cache on, on SQLite
	TEST_READ_CACHE_SECONDS=10 $(BIN)/python -m pytest tests/clients tests/routers tests/security tests/services -k "not postgresql" $(PYTEST_ARGS)

test-pythons: ## Run the tests without servers on each Python from 3.11 on that is installed (PYTHONS=3.13 limits)
	@tests/pythons.sh

soak: $(BIN)/.dev ## Create 5,000 records while one HubSpot call in five fails
	PYTHONPATH=. $(BIN)/python benchmarks/soak.py $(SOAK_ARGS)

outages: $(BIN)/.dev ## Print who gets what during outages of 20 s of the database, Redis and HubSpot, three minutes (OUTAGES_ARGS=--seconds=5)
	PYTHONPATH=. $(BIN)/python benchmarks/outages.py $(OUTAGES_ARGS)

operations: $(BIN)/.dev ## Try a rolling restart, a key rotation and a restore under load, three minutes (needs Debian's postgresql, valkey-server or redis-server, nginx, prometheus)
	PYTHONPATH=. $(BIN)/python benchmarks/operations.py $(OPERATIONS_ARGS)

# The compared services need more packages, in the versions of the dev lock if it has them.
$(BIN)/.bench: $(BIN)/.dev requirements/bench.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.lock
	@touch $@

bench: $(BIN)/.bench ## Compare with two other services and a lower bound, some minutes (BENCH_ARGS=--write updates docs/performance.md)
	PYTHONPATH=. $(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(BIN)/.bench ## The same within a minute: fewer rounds, without the slow measures
	PYTHONPATH=. $(BIN)/python -m benchmarks --quick $(BENCH_ARGS)

check: lint types ## Lint and types

lint: $(BIN)/.dev ## Check format and lint, container files included
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml

types: $(BIN)/.dev ## mypy --strict
	$(BIN)/mypy

format: $(BIN)/.dev ## Format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: $(BIN)/.dev ## Write openapi.json from the code
	$(BIN)/crm-api openapi > openapi.json

contract: $(BIN)/.dev ## Lint openapi.json, compare it with the released one, and send generated requests to the service
	@contract/lint.sh
	@contract/schemathesis.sh

sdk: $(BIN)/.dev ## Generate the TypeScript and Python SDKs into sdk/, type-check them, and call the service with them
	@contract/sdk.sh
	@contract/round_trip.sh

sdk-matrix: $(BIN)/.dev ## Generate clients with 15 more generators into sdk-matrix/, compile them, and call the service with three (needs Java)
	@contract/sdk_matrix.sh

portal: ## Build examples/portal into src/crm_api/cli/portal/, which the demo serves (needs Node)
	@contract/portal.sh

browser-test: $(BIN)/.dev ## Test /docs and the portal in Chromium (IMAGES=docs/images saves the screenshots)
	@contract/browser_test.sh

# The locks have hashes and no addresses, so they install from the index that pip is configured for.
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header $(LOCK_ARGS)

lock: ## Resolve the locks again (needs uv; LOCK_ARGS=--upgrade takes newer releases)
	$(LOCK) pyproject.toml -o requirements/runtime.lock
	$(LOCK) --group build -o requirements/build.lock
	$(LOCK) pyproject.toml --extra otel -c requirements/runtime.lock -o requirements/otel.lock
	$(LOCK) pyproject.toml --extra otel --extra dev -c requirements/otel.lock -o requirements/dev.lock

LICENSED = $$(sed -nE 's/^([a-z0-9._-]+)==.*/\1/p' requirements/otel.lock | sort -u)

licences: $(BIN)/.dev ## Write docs/licences.md for the packages in requirements/otel.lock
	@{ printf '%s\n' '# Licences' '' \
	  'Dependencies of the service with the extra `otel`.' \
	  '`make licences` writes this page, and a test compares it with the lock.' \
	  'Swagger UI is part of the package: [its licence](../src/crm_api/swagger_ui/LICENSE).' \
	  "The list of common passwords is zxcvbn's: [its licence](../src/crm_api/security/common_passwords.LICENSE.txt)." ''; \
	  $(BIN)/pip-licenses --from=mixed --format=markdown --packages $(LICENSED); } > docs/licences.md

lock-contract: ## Resolve the locks of the contract's Python tools again
	$(LOCK) contract/requirements.in -o contract/requirements.lock
	$(LOCK) -c contract/requirements.lock contract/matrix/requirements.in -o contract/matrix/requirements.lock

clean: ## Remove the environment and caches; .demo/ stays
	rm -rf $(VENV) .venv-pythons .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

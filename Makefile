# Everything a clone needs, from a machine with make and Python >= 3.11. `make help` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first Python that is new enough; say `make PYTHON=...` to choose another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)
BIN := .venv/bin
# Which tests, and how: make test TESTS=tests/streams PYTEST_ARGS='-x -k poison'
TESTS ?=
PYTEST_ARGS ?=
# SERVICES=none runs without Kafka, Redis and PostgreSQL, and says which tests it left out.
SERVICES ?= kafka,redis,postgres
UV_COMPILE := $(BIN)/uv pip compile --generate-hashes --no-emit-index-url --universal --python-version 3.11 --quiet \
	--custom-compile-command 'make lock'

.PHONY: help setup demo test services services-stop lint format build lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv/bin/loopai work (once a minute or two, then at once)
	@$(PYTHON) infra/setup.py

demo: setup ## Everything in one process group, embedded: open the page it prints (ARGS='--help' lists the options)
	@$(BIN)/loopai demo $(ARGS)

test: setup ## Every test, with Kafka, Redis and PostgreSQL beside it (SERVICES=none: without)
	@if [ "$(SERVICES)" != none ]; then $(BIN)/python infra/services/services.py start --only $(SERVICES); fi
	SERVICES=$(SERVICES) $(BIN)/python -m pytest $(PYTEST_ARGS) $(TESTS)

services: ## Start Kafka, Redis and PostgreSQL on loopback (Docker, or else natively)
	@$(PYTHON) infra/services/services.py start

services-stop: ## Stop just those
	@$(PYTHON) infra/services/services.py stop

lint: setup ## Style, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Bring the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: setup ## dist/: wheel and sdist
	@rm -rf dist
	$(BIN)/python -m hatchling build

lock: setup ## Resolve the dependencies anew
	$(UV_COMPILE) pyproject.toml --group dev --upgrade -o requirements.lock
	$(UV_COMPILE) pyproject.toml -c requirements.lock -o infra/images/requirements.lock

clean: services-stop ## Remove what setup, services and build made; not what the demo keeps in .loopai
	rm -rf .venv .services .bench dist streams/_bin gateway/static gateway/static.stamp gateway/static.lock
	rm -rf dashboard/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

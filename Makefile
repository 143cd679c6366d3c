# Every target reads its settings from environment variables, or from make variables with the same names:
#   make up MODE=kafka        COORDINATION_MODE=kafka make up        make up REPLICAS=2 PORT_OFFSET=100
#
# If a recipe fails, make exits with status 2, whatever the status of the recipe's program was; make prints that status as
# "Error 3". A script that needs it runs the program itself: `make setup-dev`, then `.venv/bin/python -m tests.chaos`.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
PY := .venv/bin/python
BOOTSTRAP := @$(PYTHON) infra/stack/bootstrap.py
STACK_CLI := $(PY) -m quartet_stack

# MODE is a short name for COORDINATION_MODE; on the command line, it takes precedence
ifeq ($(origin MODE),command line)
override COORDINATION_MODE := $(MODE)
else ifdef MODE
COORDINATION_MODE ?= $(MODE)
endif
ifdef COORDINATION_MODE
export COORDINATION_MODE
endif

# An invalid value ends make here, with one line and status 2, before anything is set up
ifneq ($(filter up config,$(MAKECMDGOALS)),)
wrong := $(shell env $(MAKEOVERRIDES) COORDINATION_MODE='$(COORDINATION_MODE)' PYTHONDONTWRITEBYTECODE=1 \
	PYTHONPATH=infra/stack/src:shared/src $(PYTHON) -m quartet_stack check 2>&1)
ifneq ($(wrong),)
$(error $(wrong))
endif
endif

ifneq ($(filter test,$(MAKECMDGOALS)),)
wrong := $(shell env $(MAKEOVERRIDES) MODE='$(MODE)' FAST='$(FAST)' NIGHTLY='$(NIGHTLY)' PYTHONDONTWRITEBYTECODE=1 \
	PYTHONPATH=.:shared/src $(PYTHON) -m tests.suite.choice 2>&1)
ifneq ($(wrong),)
$(error $(wrong))
endif
endif

ifneq ($(filter chaos,$(MAKECMDGOALS)),)
wrong := $(shell env $(MAKEOVERRIDES) COORDINATION_MODE='$(COORDINATION_MODE)' PYTHONDONTWRITEBYTECODE=1 \
	PYTHONPATH=.:shared/src $(PYTHON) -m tests.chaos.settings 2>&1)
ifneq ($(wrong),)
$(error $(wrong))
endif
endif

.PHONY: help setup setup-dev up down promote restart status logs clean uninstall config attention console token keys demo test simulate audit load fill profile bench chaos docs lint lock

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done
	@printf '\nIf a target fails, make exits with status 2. The programs behind audit, attention, load, simulate and chaos have\n'
	@printf 'statuses of their own, which make prints ("Error 1"); to get one as the status, run the program itself, such as\n'
	@printf '.venv/bin/python -m tests.chaos\n'

setup: ## create the virtual environment from the lock file
	$(BOOTSTRAP) runtime

setup-dev: ## the same, with the packages for tests and linters
	$(BOOTSTRAP) dev

up: ## start the full stack (MODE=..., default temporal) and wait until it is ready
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) up

down: ## stop the stack and keep its data
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) down

restart: ## restart the services, one replica at a time (SERVICE=order for one service)
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) restart

promote: ## let the standby of a database take over (SERVICE=order; needs DB_STANDBY)
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) promote

status: ## show what runs: state, mode, ports, memory
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) status

logs: ## follow the logs (SERVICE=order for one program)
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) logs

clean: ## stop the stack and delete its data
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) clean

uninstall: ## remove the system users and copies that make up created for root (refuses while a stack runs)
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) uninstall

config: ## show the effective settings, and where each comes from
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) config

attention: ## list what needs an operator, in all services (RETRY=id, DISMISS=id REASON=..., RESOLVE=id OUTCOME=... REASON=..., FORMAT=json)
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) attention

console: ## print a link that signs in to the console once (CUSTOMER=alice)
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) console

token: ## print a token (CUSTOMER=alice, ROLE=admin for an operator)
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) token

keys: ## print a new pair of keys for tokens, for Kubernetes: one signs, the other verifies
	$(BOOTSTRAP) runtime
	@exec $(STACK_CLI) keys

demo: ## place one order of every kind in the running stack, then audit it
	$(BOOTSTRAP) runtime
	@exec $(PY) -m checkout_demo

audit: ## check that all that happened is consistent (FORMAT=json; SINCE=time or seconds for what changed since)
	$(BOOTSTRAP) runtime
	@exec $(PY) -m checkout_audit

load: ## load test the running stack (USERS, RATE, DURATION, SHAPE=overload, flash-sale, …), then drain and audit
	$(BOOTSTRAP) runtime
	@exec $(PY) -m loadtests.run

fill: ## put settled orders in bulk into the databases of the running stack (ORDERS, SKUS, LINES, ZIPF)
	$(BOOTSTRAP) runtime
	@exec $(PY) -m loadtests.fill

profile: ## flame graphs of the services and the statements of the databases, over a load (MODE, RATE, DURATION)
	$(BOOTSTRAP) dev
	@exec $(PY) -m loadtests.profile

bench: ## compare the modes on a stack of its own: report, raw data, intervals (QUICK=1, FULL=1; MODES, RUNS, RATE, DURATION, REPORT, BASELINE)
	$(BOOTSTRAP) dev
	@exec $(PY) -m loadtests.bench

chaos: ## break a stack of its own under load, heal it, audit it (FAULTS=all, MODES, DURATION, RATE, SEED, EXPERIMENT, PLANT)
	$(BOOTSTRAP) dev
	@exec $(PY) -m tests.chaos

test: ## run the test suite on a stack of its own (FAST=1 without servers, MODE=kafka for one mode, NIGHTLY=1 with long tests)
	$(BOOTSTRAP) dev
	@MODE='$(MODE)' FAST='$(FAST)' NIGHTLY='$(NIGHTLY)' exec tests/run

simulate: ## run schedules in the simulator on all cores, and report what they covered (SCHEDULES of each STYLE, SEED)
	$(BOOTSTRAP) runtime
	@exec $(PY) -m tests.simulation

lint: ## check formatting, lint rules, types, import rules, spelling and file sizes
	$(BOOTSTRAP) dev
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy && .venv/bin/lint-imports && .venv/bin/codespell && tests/sizes

docs: ## build the documentation as a site in site/; a dead link fails (SERVE=8080 shows it on that port; needs npm once)
	$(BOOTSTRAP) dev
	@$(PY) infra/site/build.py
	@if [ -n '$(SERVE)' ]; then exec $(PY) -m http.server --bind 127.0.0.1 --directory site '$(SERVE)'; fi

lock: ## write the lock files again from pyproject.toml (needs uv)
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml -o requirements.lock
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dev pyproject.toml -c requirements.lock -o requirements-dev.lock
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		loadtests/bench/peers/requirements.in -o requirements-peers.lock
	@for component in ministack pip postgres temporal; do \
		uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
			infra/stack/$$component/requirements.in -o infra/stack/$$component/requirements.lock; done

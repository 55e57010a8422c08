# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0

PYTHON ?= python3
# Database of the demonstration: sqlite or mariadb.
DB ?= sqlite

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
CODE := networking_workflow lab benchmarks tests scripts noxfile.py
# The longest files first, so that no worker is left with one at the end.
TIERS := tests/contract tests/chaos tests/functional tests/unit

.PHONY: help
help:  ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo:  ## Show it working on a real Neutron and OVN, three minutes (DB=mariadb; STOCK=1: beside stock)
	scripts/install-debian $(if $(STOCK)$(filter mariadb,$(DB)),demo-mariadb,demo)
	$(MAKE) --no-print-directory venv
	$(BIN)/python -m lab.demo --db $(DB) $(if $(STOCK),--stock)

.PHONY: serve
serve:  ## Leave that cloud up and say how to use it with `openstack` (DB=sqlite or DB=mariadb)
	scripts/install-debian $(if $(filter mariadb,$(DB)),demo-mariadb,demo)
	$(MAKE) --no-print-directory venv
	$(BIN)/python -m lab.serve --db $(DB)

.PHONY: test
test:  ## Run everything: linters, then all tests, with servers of their own
	scripts/install-debian test
	$(MAKE) --no-print-directory venv
	mkdir -p build
	$(MAKE) --no-print-directory lint > build/lint.log 2>&1 & linting=$$!; \
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(TIERS); \
	tested=$$?; wait $$linting; linted=$$?; cat build/lint.log; \
	exit $$((tested != 0 ? tested : linted))

.PHONY: test-unit
test-unit: venv  ## Run the tests that need no server, under a minute
	$(BIN)/python -m pytest tests/unit

.PHONY: stress
stress: venv  ## Run what takes long: 20,000 workflows a database, 1,000 ports over and back, SQLite
	scripts/install-debian test
	$(BIN)/python -m pytest tests/long
	NETWORKING_WORKFLOW_STRESS=20000 $(BIN)/python -m pytest --numprocesses 2 --dist load \
		tests/contract/journal/test_stress.py
	NETWORKING_WORKFLOW_REPEAT=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile \
		-k "sqlite and not mariadb" tests/functional/api tests/functional/capture \
		tests/functional/promises/test_fabric.py

.PHONY: bench
bench: venv  ## Measure the figures, into build/bench/*.json
	scripts/install-debian test
	$(BIN)/python -m benchmarks

.PHONY: bench-api
bench-api: venv  ## Measure what users of the API see of it: lists, pages, waits
	scripts/install-debian test
	$(BIN)/python -m benchmarks lists pages waits

.PHONY: lint
lint: venv  ## Check style, types and the direction of imports
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/mypy lab benchmarks tests/conftest.py tests/functional/lab
	$(BIN)/lint-imports

.PHONY: format
format: venv  ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

.PHONY: docs
docs: venv  ## Write the pages of docs/ that are generated from the code
	$(BIN)/python scripts/generate_docs.py
	$(BIN)/python -m networking_workflow.conf.reference > docs/configuration.md

.PHONY: coverage
coverage: venv  ## Write docs/coverage.md from a running Neutron and OVN
	scripts/install-debian demo
	$(BIN)/python -m lab.coverage

.PHONY: conformance
conformance: venv  ## Run Neutron's own suites on stock and on this plugin (an hour)
	$(BIN)/python -m lab.conformance

.PHONY: compat
compat: venv  ## Run a smaller suite on Neutron 28, and say what moved in the newest Neutron
	scripts/install-debian test
	$(BIN)/nox

.PHONY: venv
venv: $(STAMP)  ## Make .venv with the locked dependencies

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[lab,test,lint,conformance,compat]'
	@touch $@

.PHONY: clean
clean:  ## Delete everything that was made here, .venv included
	rm -rf $(VENV) .nox build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

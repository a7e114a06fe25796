# Every target sets up .venv by itself, so each works as the first command after a clone.
# PYTHON=python3.13 chooses another interpreter (after `make clean`, if there is a .venv).
# Windows has no make: CONTRIBUTING.md, "Set-up by hand", has the commands.

bin = .venv/bin
run = @printf '\n== %s\n' '$(1)' && $(bin)/$(1)

# Which tests run, in the words of `pytest -m`: those that need nothing but Python; those that `make cover`
# runs; empty is all of them.
LOCAL = not heavy and not elasticsearch and not cluster
MARKERS = not heavy and not cluster

# A virtual environment holds the path of its folder: in a folder that was moved it is made anew.
moved := $(shell [ ! -e .venv/.home ] || [ "$$(cat .venv/.home)" = "$(CURDIR)" ] || rm -f .venv/.ready-*)

# Two targets at once would set up one .venv twice.
.NOTPARALLEL:
.PHONY: help demo demo-elasticsearch test test-elasticsearch test-cluster test-all check lint cover wheel mcpb conformance bench format clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' Makefile

demo: .venv/.ready-run ## show what the server does, and the lines that add it to your assistant
	@$(bin)/python examples/demo.py

demo-elasticsearch: .venv/.ready-test ## the same on a real Elasticsearch, started for it (Maven, JDK 21+)
	@$(bin)/python -m tests.elasticsearch_node -- $(bin)/python examples/demo.py --elasticsearch

test: .venv/.ready-test ## run the quick tests: some four minutes
	$(bin)/python -m pytest -m "$(LOCAL)"

test-elasticsearch: .venv/.ready-test ## the tests of that store, on a real node (Maven and a JDK 21+)
	MEM1_TEST_REQUIRE=elasticsearch $(bin)/python -m pytest -m "elasticsearch and not heavy"

test-cluster: .venv/.ready-test ## the tests that kill the nodes of a real cluster of three
	MEM1_TEST_REQUIRE=cluster $(bin)/python -m pytest -m cluster

test-all: .venv/.ready-dev ## run every test, also those that take minutes or kill processes
	$(bin)/python -m pytest

check: lint cover wheel ## run everything a change has to pass: lint, cover, wheel

lint: .venv/.ready-dev ## check format, style, types, imports, dependencies and spelling
	$(call run,ruff format --check)
	$(call run,ruff check)
	$(call run,mypy)
	$(call run,lint-imports --no-logo)
	$(call run,deptry mem1_mcp)
	$(call run,codespell)

cover: .venv/.ready-dev ## run the tests and report which branches they miss
	@$(bin)/coverage erase
	$(call run,coverage run -m pytest -m "$(MARKERS)")
	$(call run,coverage combine --quiet)
	$(call run,coverage report)

# The wheel is made from the sdist, so this proves both; its new home has no development package.
wheel: .venv/.ready-dev ## build the package, install it in a clean place and talk to it
	@rm -rf dist out/wheel
	$(call run,python -m build --outdir dist)
	$(call run,python -m venv --without-pip out/wheel)
	$(call run,python -m pip --python out/wheel/bin/python install --quiet dist/*.whl)
	@printf '\n== mem1-mcp --version, and a conversation over stdio\n'
	@out/wheel/bin/mem1-mcp --version
	@$(bin)/python .ci/handshake.py out/wheel/bin/mem1-mcp

mcpb: .venv/.ready-dev ## make the bundle for desktop hosts, and start it as they do (gets Node 22+, uv)
	@bash .ci/mcpb.sh

conformance: .venv/.ready-dev ## hold the server to the official MCP conformance suite (gets Node 22+)
	@bash .ci/conformance.sh

bench: .venv/.ready-bench ## measure what calls cost, beside a bare SDK server (BENCH="--help")
	$(bin)/python benchmarks/run.py $(BENCH)

format: .venv/.ready-dev ## format the code and mend what ruff can mend
	$(bin)/ruff format
	$(bin)/ruff check --fix

clean: ## remove .venv and everything else that was made here
	rm -rf .venv dist out htmlcov .coverage .coverage.* .hypothesis
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready-%: pyproject.toml .ci/setup.sh
	@bash .ci/setup.sh $*

# Every recipe installs what it needs from uv.lock first; uv itself is fetched when it is missing.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check cov fmt bench sim fuzz fuzz-order fuzz-prune fuzz-members fuzz-market routing picture sweep mutants hostile kill9 orderkill orderstop ordercut failover snapjoin paid fleet lossy soak churn abuse abuse-real holepunch connect spread docs clean

uv := tools/uv
venv := $(or $(UV_PROJECT_ENVIRONMENT),.venv)
bin := $(venv)/bin
# A terminal sees progress, a log does not.
quiet := $(shell test -t 2 || echo --quiet)
extras := --all-extras --group clients
# Compiled once here, so that no command pays for it at every start.
sync = $(uv) sync $(quiet) --frozen $(extras) --compile-bytecode $(1) && $(bin)/python -m compileall -q $(packages)
# The versions for which every dependency has wheels; uv finds one of them, or fetches it.
export UV_PYTHON ?= >=3.11,<3.14
unexport VIRTUAL_ENV

packages := meshnode dag consensus market simulations
ARGS ?=
# More workers than four gain nothing: the longest test file decides.
WORKERS ?= -n auto --maxprocesses 4 --dist loadscope
BENCHMARKS ?= $(sort $(wildcard benchmarks/bench_*.py))

help: ## List the recipes
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install everything a developer needs into .venv
	@$(call sync)

demo: extras := --extra local
demo: ## Run a mesh of real processes: make demo ARGS='--nodes 4 --exit'
	@$(call sync,--no-dev --inexact)
	@$(bin)/meshnode demo $(ARGS)

test: ## Run the whole test suite: make test ARGS='-k dag'
	@$(call sync)
	@$(bin)/python -m pytest $(WORKERS) $(ARGS)

check: ## Check format, lint, types and import contracts
	@$(call sync,--group bench)
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports

cov: ## Run the suite under coverage and hold it to its gates
	@$(call sync)
	@$(bin)/python -m tests.tidy.coverage_gate $(WORKERS) $(ARGS)

fmt: ## Format the code and apply safe fixes
	@$(call sync)
	@$(bin)/ruff format .
	@$(bin)/ruff check --fix .

bench: ## Run the benchmarks: make bench BENCHMARKS=benchmarks/bench_mesh.py ARGS='--json'
	@$(call sync,--group bench)
	@set -e; for script in $(BENCHMARKS); do echo "== $$script"; PYTHONPATH=. $(bin)/python "$$script" $(ARGS); done

sim: ## Simulate 60 meshes under faults, and check every promise
	@$(call sync)
	@$(bin)/python -m simulations fuzz --seeds 60 $(ARGS)

SEEDS ?= 10000
fuzz: ## A long campaign that resumes: make fuzz SEEDS=10000 ARGS='--first-seed 0'
	@$(call sync)
	@$(bin)/python -m simulations fuzz --seeds $(SEEDS) --results fuzz.jsonl $(ARGS)

fuzz-order: ## The order alone, under faults: make fuzz-order SEEDS=10000
	@$(call sync)
	@$(bin)/python -m simulations fuzz-order --seeds $(SEEDS) --results fuzz-order.jsonl $(ARGS)

fuzz-prune: ## Meshes that forget their history, under faults: make fuzz-prune SEEDS=200
	@$(call sync)
	@$(bin)/python -m simulations fuzz --prune --seeds $(SEEDS) --results fuzz-prune.jsonl $(ARGS)

fuzz-members: ## Members who come and go, under faults: make fuzz-members SEEDS=200
	@$(call sync)
	@$(bin)/python -m simulations fuzz-members --seeds $(SEEDS) --results fuzz-members.jsonl $(ARGS)

fuzz-market: ## Random markets at many nodes: make fuzz-market SEEDS=1000
	@$(call sync)
	@$(bin)/python -m simulations fuzz-market --seeds $(SEEDS) --results fuzz-market.jsonl $(ARGS)

routing: ## Routing policies on a trace: make routing ARGS='--trace FILE --policy all'
	@$(call sync)
	@$(bin)/python -m simulations routing $(ARGS)

SCENARIO ?= reach
picture: extras := --extra research
picture: ## Simulate a published curve again and draw it: make picture ARGS=--open
	@$(call sync,--no-dev --inexact)
	@$(bin)/python -m simulations run $(SCENARIO) $(ARGS)

sweep: ## Run a scenario's whole grid and draw it: make sweep SCENARIO=coverage ARGS='--seeds 20'
	@$(call sync)
	@$(bin)/python -m simulations sweep $(SCENARIO) $(ARGS)
	@$(bin)/python -m simulations report

mutants: ## Switch seeded bugs on one by one, and see each of them caught
	@$(call sync)
	@$(bin)/python -m simulations mutants $(ARGS)

hostile: ## Attack a live node: make hostile ARGS='--frames 100000 --seed 7'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.hostile $(ARGS)

kill9: ## Kill nodes under load, again and again: make kill9 ARGS='--kills 100'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.kill9 $(ARGS)

orderkill: ## Kill validators under load: make orderkill ARGS='--kills 50 --seed 7'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.consensus_kill $(ARGS)

orderstop: ## Stop one validator of four, then two: make orderstop ARGS='--seconds 15'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.consensus_stop $(ARGS)

ordercut: ## Cut the network between validators: make ordercut ARGS='--seconds 8 40'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.consensus_cut $(ARGS)

paid: ## Ask for pay while a provider is killed: make paid ARGS='--questions 200'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.paid_questions $(ARGS)

failover: ## Kill, stop and slow peers that serve, under load: make failover
	@$(call sync)
	@$(bin)/python -m tests.campaigns.failover $(ARGS)

snapjoin: ## Join a mesh that has pruned its history: make snapjoin ARGS='--vertices 2000'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.snapshot_join $(ARGS)

fleet: ## 24 real nodes at rest and under load: make fleet ARGS='--nodes 24 --rate 20'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.fleet $(ARGS)

lossy: ## Real nodes on links that lose packets: make lossy ARGS='--loss 0.02 0.1 0.25'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.lossy $(ARGS)

soak: ## Kill and restart real nodes for minutes: make soak ARGS='--minutes 10 --seed 7'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.soak $(ARGS)

churn: ## Simulate an hour of members who come and go: make churn ARGS='--minutes 60'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.churn $(ARGS)

abuse: ## Mount every known attack with and without its defence: make abuse ARGS='--row eclipse'
	@$(call sync)
	@$(bin)/python -m simulations abuse $(ARGS)

abuse-real: ## Attacks on a real transport, with each limit lifted and as it is
	@$(call sync)
	@$(bin)/python -m tests.campaigns.abuse_real $(ARGS)

holepunch: ## Hidden nodes behind routers get past their relay: make holepunch
	@$(call sync)
	@$(bin)/python -m tests.campaigns.holepunch $(ARGS)

connect: ## Measure discovery and connection on loopback: make connect ARGS='--runs 20'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.connect $(ARGS)

spread: ## Measure how vertices spread: make spread ARGS='--nodes 200 --rate 20 --silent 0.2'
	@$(call sync)
	@$(bin)/python -m tests.campaigns.spread $(ARGS)

docs: ## Write the reference of packages, commands and limits to site/
	@$(call sync,--group docs --inexact)
	@# Its warnings are about types it cannot link, such as those imported for annotations only.
	@$(bin)/python -W ignore -m pdoc --docformat google --output-directory site $(packages)
	@$(bin)/python tools/reference.py site
	@echo "open site/index.html (packages), site/commands.html, site/limits.html"

clean: ## Remove everything that recipes have made, .venv included
	@rm -rf .venv .uv site build dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

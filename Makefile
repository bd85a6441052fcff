# Linnet's commands. `make` alone lists them. What they do is in native/.

.DEFAULT_GOAL := help
.PHONY: help up scale restart status logs down clean backup restore rotate test test-compose k6 compare growth seed dashboards queries python
# Steps depend on each other and print as they go; -j would mix them.
.NOTPARALLEL:

counts = $(foreach kind,api worker llm,$(if $($(kind)),$(kind)=$($(kind))))

MEASURED = $(or $(OUT),loadtest-report)

help: ## this list
	@echo "Linnet: a social microblog whose posts a language model judges."
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18
	@echo
	@echo "  Variables: PORT=8080 (the public port; the 65 after it are used too), LINNET_DATA=.linnet (data, logs,"
	@echo "  secrets), WAIT_LLM=1 (up: wait for llm-service too), LLM_MODEL=… (a GGUF file or a hub id),"
	@echo "  LINNET_BIN_DIR=… (use these binaries instead of building), CARGO_TARGET_DIR=…, ALERTMANAGER_CONFIG=… (who is"
	@echo "  told of alerts), and the programs' own settings: LOG_*, CACHE_ACTIVE, RATE_LIMITER, RATE_LIMIT_*, APP_ENV,"
	@echo "  CONTENT_MAX_CHARACTERS, DATABASE_MAX_CONNECTIONS, API_*, WORKER_*, TIMELINE_*, LLM_*, HF_*, OTEL_*."
	@echo "  make up knows only what it is told: a setting that is not given again goes back to its default."

up: python ## start the stack, or bring it up to date (also: make up api=3 WAIT_LLM=1)
	@native/linnet up $(counts)

scale: python ## change how many replicas run: make scale api=4 worker=2 llm=1
	@native/linnet scale $(counts)

restart: python ## replace replicas one after the other, without a gap (P=api: only these)
	@native/linnet restart $(P)

status: python ## what runs, where, and how it is
	@native/linnet status || test $$? -eq 3

logs: python ## the end of the logs, going on in a terminal (P=api, P=nginx, …; LINES=100)
	@LINES_SHOWN=$(if $(filter command,$(origin LINES)),$(LINES)) native/linnet logs $(P)

down: python ## stop the stack; the data stays
	@native/linnet down

clean: python ## delete the data of a stopped stack (asks first; YES=1 answers)
	@native/linnet clean

backup: python ## the database of the running stack to a folder: make backup TO=/backups (KEEP=7: so many are kept)
	@native/linnet backup "to=$(TO)" "keep=$(KEEP)"

restore: python ## a backup into the running stack, which must be empty: make restore FROM=/backups/linnet-… (REPLACE=1: in place of a database with people in it)
	@native/linnet restore "from=$(FROM)"

rotate: python ## another secret signs the logins, nobody is logged out (a day later: END=1)
	@native/linnet rotate $(if $(END),end)

test: python ## everything that proves it, from formatting to an end-to-end run (STEPS="fmt deny": only these)
	@native/test $(STEPS)

test-compose: python ## compose.yaml held to its specification and run under podman (FULL=1: compiled there too)
	@native/test-compose

k6: python ## the Node service's k6 tests against the running stack (K6=stress, or a script of yours)
	@loadtest/k6/run $(K6)

compare: python ## Linnet beside Node and the limits of this machine: table, JSON, page (ARGS="--stress --out FOLDER")
	@loadtest/measure compare $(or $(ARGS),--out $(MEASURED))

growth: python ## Linnet with 10⁴ … 10⁷ posts and 1 … 8 replicas: tables, JSON, page (ARGS="--posts 10000,100000")
	@loadtest/measure growth $(or $(ARGS),--out $(MEASURED))

seed: python ## fill the running stack's database with people and posts: make seed POSTS=1000000 (PEOPLE=20000)
	@loadtest/measure seed --posts $(or $(POSTS),100000) --people $(or $(PEOPLE),20000) $(ARGS)

dashboards: python ## after a change in grafana/source: make Grafana's dashboards and Prometheus' pages anew
	@native/linnet dashboards

queries: python ## after a change of SQL or of a migration: describe the queries anew in .sqlx
	@native/linnet queries

# Debian's own interpreter: the one that its supervisor package uses.
python:
	@test -x /usr/bin/python3 || { [ "$$(id -u)" = 0 ] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3; } || \
	{ echo "linnet: /usr/bin/python3 is missing. Install it: sudo apt-get install python3" >&2; exit 1; }

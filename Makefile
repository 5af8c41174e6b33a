# The commands of the platform. Only Python 3.11+ and make are needed; everything else is fetched on first use.
PYTHON ?= python3
PROFILE ?= embedded
VENV = .venv/bin/python

.PHONY: up test check services bench demo-fleet messages bootstrap bootstrap-test bootstrap-bench
.SILENT:

# Run the platform in the foreground: PROFILE=embedded (one process) or PROFILE=services.
up: bootstrap
ifeq ($(PROFILE),services)
	exec $(VENV) scripts/run_services.py
else ifeq ($(PROFILE),embedded)
	exec $(VENV) manage.py vsm
else
	echo "PROFILE is embedded or services, not $(PROFILE)" >&2; exit 2
endif

# Every test in both profiles; STRICT=1 fails when something could not be run.
test: bootstrap-test
	STRICT=$(STRICT) $(VENV) scripts/run_tests.py

# Lint, types, import contracts, unit tests.
check: bootstrap-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy vsm_site alerts subsystems vsm_client
	.venv/bin/lint-imports
	$(VENV) -m pytest tests/unit

# Bring up RabbitMQ, Redis and PostgreSQL and print their URLs.
services: bootstrap
	$(VENV) scripts/services.py

# Every benchmark; writes benchmarks/results.json.
bench: bootstrap-bench
	$(VENV) -m benchmarks

# A small Celery application to watch; LOAD=3 triples its work.
demo-fleet: bootstrap
	exec $(VENV) deploy/demo_fleet/run.py --load $(or $(LOAD),1)

# The catalogues of the texts to translate, and what is compiled from them; needs GNU gettext.
messages: bootstrap
	$(VENV) manage.py makemessages --all
	$(VENV) manage.py makemessages --all --domain djangojs
	$(VENV) manage.py compilemessages --ignore .venv

bootstrap:
	$(PYTHON) scripts/bootstrap.py

bootstrap-test:
	$(PYTHON) scripts/bootstrap.py --test

bootstrap-bench:
	$(PYTHON) scripts/bootstrap.py --bench

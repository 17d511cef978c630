# Everything runs in .venv, made from constraints.txt: the exact files, by hash, that this version was tested with.
PYTHON ?= python3
CONFIG ?= recon.yaml
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# ccxt pins what it needs to exact versions, so its adapter is a distribution of its own, with an environment of its own.
CCXT := packages/recon-core-ccxt
# What recon-core is measured against: nothing that the project itself needs.
BENCH := bench
# Which figures `make bench` measures: by default all, and writes them to the page.
FIGURES ?= --page docs/performance.md
# One more than two cores: many tests wait, for a server, a browser or another process.
WORKERS := 3
# Seconds after which a test that hangs fails, and the others go on.
PATIENCE := 600
SOURCES := recon_core plugins tests examples packages bench docs

.DEFAULT_GOAL := help
.PHONY: help run test test-ccxt lint faults fuzz cases docs services bench lock clean

help:  ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*  ## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: $(READY)  ## reconcile the example deployment (CONFIG=FILE: another one) and say what the exit code means
	@code=0; $(BIN)/recon-core run --config $(CONFIG) || code=$$?; \
	$(BIN)/python -c 'import sys; from recon_core.errors import EXIT_MEANING; code = int(sys.argv[1]); \
	print(f"\nmake: recon-core run returned {code}:", EXIT_MEANING.get(code, "not a verdict"))' $$code; \
	case $$code in 0|3|4|10) ;; *) exit $$code ;; esac

test: lint  ## all checks and all tests
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --timeout $(PATIENCE)

test-ccxt: $(CCXT)/.venv/.ready  ## the tests of recon-core-ccxt, in an environment of its own
	cd $(CCXT) && .venv/bin/pytest

lint: $(READY)  ## format, style, types and layers
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(READY)  ## every fault and random example (as root, more than an hour), where `make test` tries a sample
	$(BIN)/pytest -n 2 --dist load --faults tests/faults tests/test_oracle.py tests/test_explain_properties.py

fuzz: $(READY)  ## a million inputs found by libFuzzer for each parser (hours), where `make test` tries 20,000 (TARGETS="json fix": these)
	$(BIN)/python tests/fuzz/run.py $(TARGETS)

cases: $(READY)  ## which cases of the catalogue have a test, and which have none
	@$(BIN)/pytest --cases

docs: $(READY)  ## write the generated pages anew
	$(BIN)/python docs/generate.py

bench: $(READY) $(BENCH)/.venv/.ready  ## measure whole runs against others, and write docs/performance.md (FIGURES=--quick: a small set, only shown)
	$(BIN)/python bench/run.py $(FIGURES)

# The tests start servers of their own: policy-rc.d keeps the packages from starting theirs.
services:  ## install the servers, the browser and the tools that some tests use (Debian, as root)
	@missing=; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	for name in chromium prometheus prometheus-pushgateway strace eatmydata; do \
		command -v $$name >/dev/null || missing="$$missing $$name"; \
	done; \
	command -v java >/dev/null || missing="$$missing default-jre-headless"; \
	[ -x /sbin/mkfs.ext4 ] || missing="$$missing e2fsprogs"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	if [ -z "$$missing" ]; then echo "make: all that the tests use is installed"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		policy=/usr/sbin/policy-rc.d; \
		if [ ! -e $$policy ]; then printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; trap "rm -f $$policy" EXIT; fi; \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
	else echo "make: as root, on Debian: apt-get install$$missing (without them the tests that use them are skipped)"; exit 1; fi
	@# PostgreSQL runs as a user of its own, and its shell commands write to /dev/null: some containers let only root do that.
	@if [ "$$(id -u)" = 0 ] && [ "$$(stat -c %a /dev/null)" != 666 ]; then chmod 666 /dev/null; fi

lock:  ## write constraints.txt anew, here, in packages and in bench: the newest versions that fit, for every supported Python
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(PYTHON) -m venv "$$dir" && "$$dir/bin/pip" install --quiet uv && \
	lock() { "$$dir/bin/uv" pip compile "$$1/pyproject.toml" --extra "$$2" --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-package recon-core \
		--custom-compile-command "make lock" --quiet --output-file "$$1/constraints.txt"; } && lock . dev && lock $(CCXT) test && lock $(BENCH) contestants

clean:  ## remove what make made, but no state
	rm -rf $(VENV) $(CCXT)/.venv $(BENCH)/.venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --no-deps: everything is in constraints.txt, with its hash; --no-build-isolation: so is what builds. An editable install compiles
# nothing by itself, and a quarter of a short run would be compiling, wherever Python may not write beside the sources.
$(READY): constraints.txt pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q recon_core plugins
	@touch $@

# --no-compile: of a hundred exchanges the tests import four. What is after | comes first, so that `make --jobs 2` may make both
# environments at the same time: one apt-get, and one that writes beside the sources.
$(CCXT)/.venv/.libraries: $(CCXT)/constraints.txt $(CCXT)/.venv/bin/python
	cd $(CCXT) && .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r constraints.txt
	@touch $@

$(CCXT)/.venv/.ready: $(CCXT)/.venv/.libraries $(CCXT)/pyproject.toml pyproject.toml | $(READY)
	cd $(CCXT) && .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--editable ../.. --editable .
	@touch $@

$(BENCH)/.venv/.ready: $(BENCH)/constraints.txt $(BENCH)/.venv/bin/python
	$(BENCH)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(BENCH)/constraints.txt
	@touch $@

$(CCXT)/.venv/bin/python $(BENCH)/.venv/bin/python: | $(BIN)/python

$(BIN)/python $(CCXT)/.venv/bin/python $(BENCH)/.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: recon-core needs Python 3.11 or newer; $(PYTHON) is older or missing (make PYTHON=/path/to/python3.12 ...)"; exit 1; }
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv --clear $(@:/bin/python=); \
	elif command -v uv >/dev/null; then uv venv --quiet --clear --seed --python $(PYTHON) $(@:/bin/python=); \
	elif $(PYTHON) -c 'import virtualenv' 2>/dev/null; then $(PYTHON) -m virtualenv --quiet --clear $(@:/bin/python=); \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "make: this Python cannot make environments yet: apt-get install python3-venv" && \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q python3-venv && $(PYTHON) -m venv --clear $(@:/bin/python=); \
	else echo "make: $(PYTHON) has no venv. On Debian, once, as root: apt-get install python3-venv. Elsewhere: install uv"; exit 1; fi

# A fresh machine needs make and a CPython 3.11, 3.12 or 3.13 with venv and pip; everything else is installed here.
#   make run PYTHON=/path/to/python3.12    takes that interpreter for .venv
#   make run ARGS="--input photos"         hands more options to the program (make test: to pytest)

VENV := .venv
CAFFE_VENV := .venv-caffe
PYTHON ?=
CAFFE_PYTHON ?=
ARGS ?=
BENCH := engines chain padding memory
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --only-binary :all:

# $(call find_python,CANDIDATES,LOW,HIGH): the first candidate that is a CPython 3.LOW to 3.HIGH
find_python = for p in $(1); do "$$p" -c 'import sys; sys.exit(sys.implementation.name != "cpython" or not \
	(3, $(2)) <= sys.version_info[:2] <= (3, $(3)))' 2>/dev/null && { command -v "$$p"; break; }; done
pyenv_pythons = $$(ls -d "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/python 2>/dev/null | sort -rV)

.DEFAULT_GOAL := help
.PHONY: help run test lint docs caffe bench lock clean distclean

help: ## list these targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do \
		printf '  make %-10s %s\n' "$$target" "$$text"; done

run: $(VENV)/installed ## masks of the photographs in data/samples, written to output/
	$(VENV)/bin/python run_pipeline.py --config configs/default.yaml $(ARGS)

test: $(VENV)/installed-dev ## the test suite
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/installed-dev ## ruff and mypy
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	@if $(VENV)/bin/python -c 'import torch' 2>/dev/null; then set --; else \
		echo 'PyTorch is not installed: the types of training/ are not checked.'; \
		set -- --exclude '^tests/training/' run_pipeline.py landmarks pipeline benchmarks tests; fi; \
	echo "mypy $$*"; $(VENV)/bin/python -m mypy "$$@"

docs: $(VENV)/installed-dev ## a page of the Python interface, written to build/docs
	$(VENV)/bin/python -W error -m pdoc --docformat numpy --output-directory build/docs pipeline landmarks

caffe: $(CAFFE_VENV)/installed ## the reference engine: real Caffe in .venv-caffe, which needs a CPython 3.7-3.9
	@echo "Caffe is ready: engine.name=caffe with engine.caffe.command=[$(CAFFE_VENV)/bin/python]"

bench: $(VENV)/installed-dev ## the benchmarks on a quiet machine, an hour or so (BENCH=engines: that one alone)
	@caffe=; [ ! -e $(CAFFE_VENV)/installed ] || caffe='--caffe-python $(CAFFE_VENV)/bin/python'; \
	for name in $(BENCH); do \
		options=; case "$$name" in engines|chain) options="$$caffe" ;; esac; \
		echo "python -m benchmarks.$$name $$options $(ARGS)"; \
		$(VENV)/bin/python -m "benchmarks.$$name" $$options $(ARGS) || exit; done

$(VENV)/bin/python:
	@python=$$($(call find_python,$(or $(PYTHON),python3 python3.13 python3.12 python3.11 $(pyenv_pythons)),11,13)); \
	if [ -z "$$python" ]; then \
		echo "$(or $(PYTHON),this machine's python3) is no CPython 3.11, 3.12 or 3.13." \
			"Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; fi; \
	"$$python" -m venv --clear $(VENV) || { \
		echo "$$python can't make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/installed: requirements.lock | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP_INSTALL) -r requirements.lock
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock requirements.lock | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP_INSTALL) -r requirements-dev.lock
	@touch $(VENV)/installed $@

$(CAFFE_VENV)/bin/python:
	@python=$$($(call find_python,$(or $(CAFFE_PYTHON),python3.9 python3.8 python3.7 python3 $(pyenv_pythons)),7,9)); \
	if [ -z "$$python" ]; then \
		echo "The reference engine needs a CPython 3.7, 3.8 or 3.9 (Caffe's wheels end there) and none was found." \
			"Install one (pyenv install 3.9), name one (make caffe CAFFE_PYTHON=/path/to/python3.9)," \
			"or use the Docker image: docker build --target caffe -t uncrop-caffe ." >&2; exit 1; fi; \
	"$$python" -m venv --clear $(CAFFE_VENV)

$(CAFFE_VENV)/installed: requirements-caffe.lock | $(CAFFE_VENV)/bin/python
	$(CAFFE_VENV)/bin/python $(PIP_INSTALL) -r requirements-caffe.lock
	$(CAFFE_VENV)/bin/python -c 'import caffe'
	@touch $@

# Needs uv (pip install uv). The locks hold for CPython 3.11-3.13 on Linux, macOS and Windows and name no index.
LOCK := uv pip compile --universal --fork-strategy fewest --no-build --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --quiet
lock: ## write the lock files anew from pyproject.toml; UPGRADE=--upgrade takes newer versions
	$(LOCK) $(UPGRADE) --python-version 3.11 pyproject.toml -o requirements.lock
	$(LOCK) $(UPGRADE) --python-version 3.11 pyproject.toml --extra dev --extra formats --extra openvino --extra ray \
		--extra serve --extra video \
		-c requirements.lock -o requirements-dev.lock
	echo onnxruntime | $(LOCK) $(UPGRADE) --python-version 3.11 pyproject.toml --extra gpu \
		-c requirements.lock --excludes /dev/stdin -o requirements-gpu.lock
	$(LOCK) $(UPGRADE) --python-version 3.11 pyproject.toml --extra serve -c requirements.lock -o requirements-serve.lock
	for name in 'kendryte-caffe==1.0.0.20210829' 'numpy<2' 'protobuf<3.21'; do \
		echo "$$name; python_version < '3.10' and sys_platform == 'linux'"; done \
		| $(LOCK) $(UPGRADE) --python-version 3.7 - -o requirements-caffe.lock

clean: ## remove outputs and caches
	rm -rf output .cache build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments as well
	rm -rf $(VENV) $(CAFFE_VENV)

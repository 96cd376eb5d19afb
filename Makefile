# make demo   the whole workflow on any machine, in minutes, with estimated joules
# make run    the lab campaign on an NVIDIA GPU (config/config.yaml)
# make first-light   a new GPU: doctor, GPU tests, passport and a short pilot, about ten minutes
# make gpu-test   what a lab should know of its GPU before the first campaign, minutes
# make cluster   what profiles/slurm needs besides, on a Slurm cluster
# make test   the tests    make check   format, lint, types, layers, workflow lint, tests, audit
#
# Without an NVIDIA GPU, a smaller torch:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
# With the torch of a cluster's module or a container, and without network (docs/cluster.md):
#   make wheelhouse
#   make setup SITE_TORCH=1 WHEELHOUSE=wheelhouse

# The first Python of a fit version that really runs: a name on PATH can be a shim without one behind it.
FIT := import sys, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
VENV := .venv
# An environment over the machine's own torch stays one, of the same Python.
SITE_READY := $(VENV)/.ready-site
ifneq ($(wildcard $(SITE_READY)),)
SITE_TORCH ?= 1
PYTHON ?= $(shell cat $(SITE_READY))
endif
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
	if $$python -c '$(FIT)' >/dev/null 2>&1; then command -v $$python; break; fi; done)
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONWARNINGS := ignore::FutureWarning
# Every file that is installed has a digest in a lock file, or it is refused. The lock files are
# complete, and CompressAI's metadata asks for an older numpy than its code: so without dependencies.
PIP := $(BIN)/python -m pip install --no-deps --no-build-isolation --progress-bar on
INSTALL := $(PIP) --require-hashes
TORCH_INDEX ?=
WHEELHOUSE ?=
READY := $(if $(SITE_TORCH),$(SITE_READY),$(VENV)/.ready)
# Targets come first: --resources would take one after it for a resource.
RUN := --cores 1 --resources gpu=1

.PHONY: setup wheelhouse cluster demo run plan tables test test-oldest gpu-test first-light check format lint types audit bench docs lock clean

setup: $(READY)

define NEED_PYTHON
@"$(PYTHON)" -c '$(FIT)' >/dev/null 2>&1 || { \
	echo "nic-energy needs Python 3.11 or 3.12 with venv (CompressAI has no build for others)." >&2; \
	echo "None was found on PATH: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
endef

$(VENV)/.ready: envs/lock-build.txt envs/lock.txt envs/lock-cuda.txt pyproject.toml
	$(NEED_PYTHON)
	$(if $(WHEELHOUSE),$(error WHEELHOUSE holds no torch: make setup SITE_TORCH=1 WHEELHOUSE=$(WHEELHOUSE)))
	"$(PYTHON)" -m venv $(if $(wildcard $(SITE_READY)),--clear) $(VENV)
	$(INSTALL) -r envs/lock-build.txt
ifeq ($(TORCH_INDEX),)
	@echo "Installing the pinned environment (about 6 GB with CUDA, some minutes) ..."
	$(INSTALL) -r envs/lock.txt -r envs/lock-cuda.txt
else
	@echo "Installing the pinned environment with torch from $(TORCH_INDEX) ..."
	$(BIN)/python -m pip install --progress-bar on --index-url $(TORCH_INDEX) \
		$$(sed -nE 's/^(torch(vision)?==[^ ]+).*/\1/p' envs/lock.txt)
	$(INSTALL) -r envs/lock.txt
endif
	$(PIP) --quiet --editable .
	@touch $@

$(SITE_READY): envs/lock-build.txt envs/lock.txt envs/requirements-site.in pyproject.toml
	$(NEED_PYTHON)
	$(if $(TORCH_INDEX),$(error Either TORCH_INDEX, which installs a torch, or SITE_TORCH=1, which installs none))
	"$(PYTHON)" envs/site_torch.py setup $(VENV) $(WHEELHOUSE)
	@echo "$(PYTHON)" > $@

# NODE=node.json: for another Python than this one, as `python3 envs/site_torch.py describe` wrote it there.
wheelhouse:
	$(NEED_PYTHON)
	"$(PYTHON)" envs/site_torch.py fetch $(or $(WHEELHOUSE),wheelhouse) $(NODE)

$(VENV)/.ready-cluster: $(READY) envs/lock-cluster.txt
	$(INSTALL) -r envs/lock-cluster.txt
	@touch $@

cluster: $(VENV)/.ready-cluster

$(VENV)/.ready-dev: $(VENV)/.ready-cluster envs/lock-dev.txt
	$(INSTALL) -r envs/lock-dev.txt
	@touch $@

demo: setup
	snakemake $(RUN) --configfile config/demo.yaml
	@nic-energy show results/demo

run: setup
	snakemake $(RUN)
	@nic-energy show results/lab

plan: setup
	@nic-energy plan config/config.yaml

tables: setup
	snakemake tables $(RUN) --config allow_missing=true

test: $(VENV)/.ready-dev
	pytest --numprocesses 2 --dist loadscope --cov --cov-report= --cov-report=term:skip-covered --cov-fail-under=85

# What numpy, pandas and pyarrow matter to: about a minute.
OLDEST := tests/bundle/test_kept.py tests/calibration/test_fit.py tests/codecs tests/energy/test_estimators.py \
	tests/energy/test_table.py tests/figures/test_figures.py tests/images tests/models/test_models.py tests/statistics tests/test_tables.py tests/test_traces.py

# The lowest versions that SITE_TORCH=1 accepts, numpy 1.26 among them, before those of .venv.
$(VENV)/.ready-oldest: $(VENV)/.ready-dev envs/lock-oldest.txt
	rm -rf $(VENV)/oldest
	$(INSTALL) --target $(VENV)/oldest -r envs/lock-oldest.txt
	@touch $@

test-oldest: $(VENV)/.ready-oldest
	PYTHONPATH=$(CURDIR)/$(VENV)/oldest python envs/installed.py envs/lock-oldest.txt
	PYTHONPATH=$(CURDIR)/$(VENV)/oldest pytest --numprocesses 2 --dist loadscope --quiet $(OLDEST)

# DEVICE=virtual rehearses both on a virtual GPU; QUICK=1 takes small images and short loads.
DEVICE ?= cuda:0
gpu-test: setup
	pytest tests/gpu/test_real_gpu.py --require-gpu --gpu-device $(DEVICE) $(if $(QUICK),--gpu-quick)

first-light: setup
	@nic-energy first-light --device $(DEVICE) $(if $(QUICK),--quick)

check: $(VENV)/.ready-dev format lint types test test-oldest audit

format: $(VENV)/.ready-dev
	ruff format --check
	snakefmt --check Snakefile rules

lint: $(VENV)/.ready-dev
	ruff check
	lint-imports
	snakemake --lint

types: $(VENV)/.ready-dev
	mypy

# A report: a known vulnerability stops nothing here, and neither does a machine without network.
audit: $(VENV)/.ready-dev
	@$(BIN)/python envs/audit.py

# The peers that benchmarks compare with.
$(VENV)/.ready-bench: $(VENV)/.ready-dev envs/lock-bench.txt
	$(INSTALL) -r envs/lock-bench.txt
	@touch $@

bench: $(VENV)/.ready-bench
	$(BIN)/python -m benchmarks

docs: $(VENV)/.ready-dev
	$(BIN)/python docs/generate.py

lock: $(VENV)/.ready-dev
	$(BIN)/python envs/make_lock.py

clean:
	rm -rf $(VENV) wheelhouse build *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage*
	@echo "results/ and .snakemake/ are kept; remove them by hand if you mean it."

# make demo   the whole workflow on any machine, in minutes, with estimated joules
# make run    the lab campaign on an NVIDIA GPU (config/config.yaml)
# make first-light   a new GPU: doctor, GPU tests, passport and a short pilot, about ten minutes
# make gpu-test   what a lab should know of its GPU before the first campaign, minutes
# make cluster   what profiles/slurm needs besides, on a Slurm cluster
# make test   the tests    make check   format, lint, types, layers, workflow lint, tests, audit
#
# Without an NVIDIA GPU, a smaller torch:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu

# The first Python of a fit version that really runs: a name on PATH can be a shim without one behind it.
FIT := import sys, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
	if $$python -c '$(FIT)' >/dev/null 2>&1; then command -v $$python; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONWARNINGS := ignore::FutureWarning
# Every file that is installed has a digest in the lock file, or it is refused.
INSTALL := $(BIN)/python -m pip install --progress-bar on --require-hashes
TORCH_INDEX ?=
# Targets come first: --resources would take one after it for a resource.
RUN := --cores 1 --resources gpu=1

.PHONY: setup cluster demo run plan tables test gpu-test first-light check format lint types audit bench docs lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: envs/lock.txt envs/lock-cuda.txt pyproject.toml
	@"$(PYTHON)" -c '$(FIT)' >/dev/null 2>&1 || { \
		echo "nic-energy needs Python 3.11 or 3.12 with venv (CompressAI has no build for others)." >&2; \
		echo "None was found on PATH: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
ifeq ($(TORCH_INDEX),)
	@echo "Installing the pinned environment (about 6 GB with CUDA, some minutes) ..."
	$(INSTALL) -r envs/lock.txt -r envs/lock-cuda.txt
else
	@echo "Installing the pinned environment with torch from $(TORCH_INDEX) ..."
	$(BIN)/python -m pip install --progress-bar on --index-url $(TORCH_INDEX) \
		$$(sed -nE 's/^(torch(vision)?==[^ ]+).*/\1/p' envs/lock.txt)
	$(INSTALL) -r envs/lock.txt
endif
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

# Without its dependencies, which are all in the two lock files: see envs/requirements-cluster.in.
$(VENV)/.ready-cluster: $(VENV)/.ready envs/lock-cluster.txt
	$(INSTALL) --no-deps -r envs/lock-cluster.txt
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

# DEVICE=virtual rehearses it on a virtual GPU; QUICK=1 takes small images and short loads.
DEVICE ?= cuda:0
gpu-test: $(VENV)/.ready-dev
	pytest tests/gpu/test_real_gpu.py --require-gpu --gpu-device $(DEVICE) $(if $(QUICK),--gpu-quick)

first-light: $(VENV)/.ready-dev
	@nic-energy first-light --device $(DEVICE)

check: $(VENV)/.ready-dev format lint types test audit

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
	rm -rf $(VENV) build *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage*
	@echo "results/ and .snakemake/ are kept; remove them by hand if you mean it."

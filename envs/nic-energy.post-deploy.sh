#!/usr/bin/env bash
# The project itself, into the environment that Snakemake has just made of nic-energy.yaml: with
# --sdm conda it runs this there. Without it `nic-energy` would be that of the environment which
# runs Snakemake, packages and all. Editable, as `make setup` does it: edited code is measured again.
set -euo pipefail

project=${NIC_ENERGY_PROJECT:?the folder of this project; the Snakefile sets it}
# Packages beside the environment are none of its own, and its jobs do not get to see them either.
unset PYTHONPATH
# With the setuptools that nic-energy.yaml pins. Without dependencies, which that file has too:
# CompressAI's metadata asks for an older numpy than its code, and conda's pip would refuse both.
"${CONDA_PREFIX:?no conda environment is active}/bin/python" -m pip install --no-deps --no-build-isolation \
    "$(grep -oE '^compressai==[0-9.]+' "$project/envs/lock.txt")" --editable "$project"

"""Energy over pixels, Eq. (2), with the cross-validated error of Eq. (3)."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.config import resolve
from nic_energy.logs import log_to
from nic_energy.models.linear import energy_models

log_to(snakemake.log[0])
config = resolve(json.loads(snakemake.params.config))
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
models, folds = energy_models(
    energy, config.networks, snakemake.params.folds, snakemake.params.seed
)
tables.write_csv(Path(snakemake.output.models), models)
tables.write_csv(Path(snakemake.output.folds), folds)

"""How well Eq. (2) predicts, and what it leans on."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.config import resolve
from nic_energy.logs import log_to
from nic_energy.models.residuals import residuals
from nic_energy.models.validation import Plan, bootstrap, validation

log_to(snakemake.log[0])
config = resolve(json.loads(snakemake.params.config))
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
plan = Plan.of(config)
tables.write_csv(Path(snakemake.output.validation), validation(energy, config.networks, plan))
tables.write_csv(Path(snakemake.output.bootstrap), bootstrap(energy, config.networks, plan))
tables.write_csv(Path(snakemake.output.residuals), residuals(energy, config.networks))

"""Other fits than least squares, and other predictors than pixels."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.config import resolve
from nic_energy.logs import log_to
from nic_energy.models import comparison, sizes
from nic_energy.models.validation import Plan

log_to(snakemake.log[0])
config = resolve(json.loads(snakemake.params.config))
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
asked = energy, config.networks, Plan.of(config)
tables.write_csv(Path(snakemake.output.regressions), comparison.regression_comparison(*asked))
tables.write_csv(Path(snakemake.output.predictors), comparison.predictor_comparison(*asked))
tables.write_csv(Path(snakemake.output.sizes), sizes.size_effect_table(*asked[:2]))

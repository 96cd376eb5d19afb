"""Energy per pixel against every network parameter (paper, section 5)."""

from pathlib import Path

from nic_energy import tables
from nic_energy.logs import log_to
from nic_energy.models.predictor_correlations import correlate_predictors

log_to(snakemake.log[0])
correlations = correlate_predictors(
    tables.read_csv(Path(snakemake.input.models), tables.ENERGY_MODEL_COLUMNS),
    tables.read_csv(Path(snakemake.input.complexity), tables.COMPLEXITY_COLUMNS),
)
tables.write_csv(Path(snakemake.output[0]), correlations)

"""The slope alpha over complexity (paper, section 5)."""

from pathlib import Path

from nic_energy import tables
from nic_energy.logs import log_to
from nic_energy.models.slopes import complexity_models

log_to(snakemake.log[0])
slopes = complexity_models(
    tables.read_csv(Path(snakemake.input.models), tables.ENERGY_MODEL_COLUMNS),
    tables.read_csv(Path(snakemake.input.complexity), tables.COMPLEXITY_COLUMNS),
    tables.read_csv(Path(snakemake.input.published)),
)
tables.write_csv(Path(snakemake.output[0]), slopes)

"""What the paper prints, and ours beside it."""

from pathlib import Path

from nic_energy import tables
from nic_energy.logs import log_to
from nic_energy.models.paper import paper_comparison
from nic_energy.models.published import Published

log_to(snakemake.log[0])
table = paper_comparison(
    tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS),
    tables.read_csv(Path(snakemake.input.models), tables.ENERGY_MODEL_COLUMNS),
    tables.read_csv(Path(snakemake.input.folds), tables.FOLD_COLUMNS),
    tables.read_csv(Path(snakemake.input.slopes), tables.COMPLEXITY_MODEL_COLUMNS),
    tables.read_csv(Path(snakemake.input.complexity), tables.COMPLEXITY_COLUMNS),
    Published.read(*map(Path, snakemake.input.paper)),
)
tables.write_csv(Path(snakemake.output[0]), table)

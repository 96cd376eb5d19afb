"""Slope alpha over MAC operations, as in the paper's Fig. 3."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import save, slope_over_mac
from nic_energy.logs import log_to
from nic_energy.models.published import Published

log_to(snakemake.log[0])
given = snakemake.input
figure = slope_over_mac.plot(
    tables.read_csv(Path(given.models), tables.ENERGY_MODEL_COLUMNS),
    tables.read_csv(Path(given.slopes), tables.COMPLEXITY_MODEL_COLUMNS),
    tables.read_csv(Path(given.complexity), tables.COMPLEXITY_COLUMNS),
    Published.read(*map(Path, given.paper)).points(),
)
save(figure, Path(snakemake.output.svg).with_suffix(""))

"""Slope alpha over MAC operations, as in the paper's Fig. 3."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import save, slope_over_mac
from nic_energy.logs import log_to

log_to(snakemake.log[0])
figure = slope_over_mac.plot(
    tables.read_csv(Path(snakemake.input.models), tables.ENERGY_MODEL_COLUMNS),
    tables.read_csv(Path(snakemake.input.slopes), tables.COMPLEXITY_MODEL_COLUMNS),
    tables.read_csv(Path(snakemake.input.complexity), tables.COMPLEXITY_COLUMNS),
)
save(figure, Path(snakemake.output.svg).with_suffix(""))

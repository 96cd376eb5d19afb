"""Energy over pixels of one network with its fitted lines, as in the paper's Fig. 2."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import energy_over_pixels, save
from nic_energy.logs import log_to
from nic_energy.models.published import Published

log_to(snakemake.log[0])
figure = energy_over_pixels.plot(
    tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS),
    tables.read_csv(Path(snakemake.input.models), tables.ENERGY_MODEL_COLUMNS),
    snakemake.wildcards.network,
    Published.read(*map(Path, snakemake.input.paper)).table2,
)
save(figure, Path(snakemake.output.svg).with_suffix(""))

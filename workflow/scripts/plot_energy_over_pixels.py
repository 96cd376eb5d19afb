"""Energy over pixels of one network with its fitted lines, as in the paper's Fig. 2."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import energy_over_pixels, save
from nic_energy.logs import log_to

log_to(snakemake.log[0])
figure = energy_over_pixels.plot(
    tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS),
    tables.read_csv(Path(snakemake.input.models), tables.ENERGY_MODEL_COLUMNS),
    snakemake.wildcards.network,
    tables.read_csv(Path(snakemake.input.printed)),
)
save(figure, Path(snakemake.output.svg).with_suffix(""))

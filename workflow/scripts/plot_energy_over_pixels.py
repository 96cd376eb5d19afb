"""Energy over pixels of every network with its fitted lines, as in the paper's Fig. 2."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import energy_over_pixels, save
from nic_energy.logs import log_to

log_to(snakemake.log[0])
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
models = tables.read_csv(Path(snakemake.input.models), tables.ENERGY_MODEL_COLUMNS)
for network, svg in zip(snakemake.params.networks, snakemake.output.svg, strict=True):
    save(energy_over_pixels.plot(energy, models, network), Path(svg).with_suffix(""))

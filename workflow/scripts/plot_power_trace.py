"""Power over time of one modality, as in the paper's Fig. 1."""

from pathlib import Path

from nic_energy.figures import power_trace, save
from nic_energy.logs import log_to

log_to(snakemake.log[0])
figure = power_trace.plot_from(Path(snakemake.input.energy), snakemake.params.setup)
save(figure, Path(snakemake.output.svg).with_suffix(""))

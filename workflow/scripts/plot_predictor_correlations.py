"""Correlation of energy per pixel with every network parameter."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import predictor_correlations, save
from nic_energy.logs import log_to
from nic_energy.models.predictor_correlations import printed_correlations
from nic_energy.models.published import Published

log_to(snakemake.log[0])
given = snakemake.input
published = Published.read(*map(Path, given.paper))
complexity = tables.read_csv(Path(given.complexity), tables.COMPLEXITY_COLUMNS)
figure = predictor_correlations.plot(
    tables.read_csv(Path(given.predictors), tables.PREDICTOR_COLUMNS),
    printed_correlations(published.table2, complexity),
)
save(figure, Path(snakemake.output.svg).with_suffix(""))

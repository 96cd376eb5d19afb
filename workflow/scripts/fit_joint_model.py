"""One model over all networks, chosen and judged on networks that were left out."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.config import resolve
from nic_energy.files import write_json
from nic_energy.logs import log_to
from nic_energy.models.joint import joint_model, training_rows

log_to(snakemake.log[0])
networks = resolve(json.loads(snakemake.params.config)).networks
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
complexity = tables.read_csv(Path(snakemake.input.complexity), tables.COMPLEXITY_COLUMNS)
document, candidates = joint_model(training_rows(energy, complexity, networks))
write_json(Path(snakemake.output.model), document)
tables.write_csv(Path(snakemake.output.candidates), candidates)

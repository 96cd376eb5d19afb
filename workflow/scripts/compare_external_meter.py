"""The sensor against the log of an external meter: gain, offset, correlation."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.analysis import meter_comparison
from nic_energy.config import resolve
from nic_energy.files import write_json
from nic_energy.logs import log_to

log_to(snakemake.log[0])
config = resolve(json.loads(snakemake.params.config))
found = meter_comparison(config, Path(snakemake.input.energy))
tables.write_csv(Path(snakemake.output.runs), found.table)
write_json(Path(snakemake.output.summary), found.summary)

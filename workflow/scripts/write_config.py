"""The merged configuration of the set-up, for the jobs that measure."""

import json
from pathlib import Path

from nic_energy.files import write_json
from nic_energy.logs import log_to

log_to(snakemake.log[0])
write_json(Path(snakemake.output[0]), json.loads(snakemake.params.config))

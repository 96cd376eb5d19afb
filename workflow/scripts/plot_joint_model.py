"""The joint model on networks that were left out."""

import json
from pathlib import Path

from nic_energy.figures import joint_model, save
from nic_energy.logs import log_to

log_to(snakemake.log[0])
document = json.loads(Path(snakemake.input[0]).read_text(encoding="utf-8"))
save(joint_model.plot(document), Path(snakemake.output.svg).with_suffix(""))

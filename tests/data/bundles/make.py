"""Make a bundle of a tiny campaign on a virtual GPU, to keep as a fixture of its format's version.

Usage: python -m tests.data.bundles.make (from the root of the checkout; writes
tests/data/bundles/bundle-{format}-tables-{tables}.zip and never over one that is there)
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from nic_energy.bundle.layout import DOCTOR, GPU_TESTS, IDLE, VERSION
from nic_energy.bundle.pack import PackRequest, pack
from nic_energy.files import write_json
from nic_energy.tables import SCHEMA_VERSION
from nic_energy.traces import read_meta
from tests.bundle.campaigns import inside, lab

FOLDER = Path(__file__).resolve().parent
CHANGES: dict[str, Any] = {
    "setup": "kept",
    "networks": [{"name": "bmshj2018-factorized", "qualities": [1]}],
    "protocol": {"idle_s": 2, "min_duration_s": 0.5, "lead_in_s": 0.1},
    "publication": {"lab": "nic-energy tests", "licence": "CC0-1.0"},
}


def main() -> None:
    target = FOLDER / f"bundle-{VERSION}-tables-{SCHEMA_VERSION}.zip"
    if target.exists():
        sys.exit(f"{target} is there: it stays as its release wrote it.")
    with tempfile.TemporaryDirectory() as name:
        found = lab(Path(name), **CHANGES)
        with inside(found.root):
            device = {"device": "virtual", "uuid": read_meta(found.folder / IDLE).meter.device_uuid}
            write_json(found.folder / DOCTOR, {"device_uuid": None, "checks": []})
            write_json(found.folder / GPU_TESTS, {"passed": True, "device": device})
            pack(found.folder, target, PackRequest())
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""What an earlier step or an earlier run has found already."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nic_energy import fingerprint
from nic_energy.files import digest_of, link_or_copy, sha256, write_json
from nic_energy.measure.environment import package_versions
from nic_energy.measure.passport import KEY
from nic_energy.store import RawStore

BASIS = "basis.json"


def basis(uuid: str, driver: str | None, meter: str, tests: Path, quick: bool) -> dict[str, Any]:
    """What GPU tests depend on: the card, its driver, the packages, and the code that measures.

    Args:
        tests: the folder of their own code. quick: they are run in their short form.
    """
    code = {path.name: sha256(path) for path in sorted(tests.glob("*.py"))}
    return {
        "uuid": uuid,
        "driver": driver,
        "packages": package_versions(),
        "measuring": fingerprint.of_measurement(meter),
        "passport": fingerprint.of_passport(meter),
        "tests": digest_of(code),
        "quick": quick,
    }


def keep_basis(folder: Path, found: Mapping[str, Any]) -> None:
    """Note on what the GPU tests in a folder passed."""
    write_json(folder / BASIS, dict(found))


def passed_before(folder: Path, found: Mapping[str, Any]) -> str | None:
    """When the GPU tests in a folder passed on the same basis; None where they did not."""
    report = read_document(folder / "report.json")
    if report.get("passed") is not True or read_document(folder / BASIS) != dict(found):
        return None
    return str(report.get("created_utc"))


def take_over_passport(tests: Path, setup_folder: Path) -> bool:
    """Put the sensor's record that the GPU tests made into the raw store of the set-up, which
    spares the card two minutes of it; returns whether there is one.

    Whether it is of the same device, driver, settings and code, the passport's own command checks.

    Args:
        tests: folder of the results of the GPU tests.
    """
    folders = sorted((tests / "end_to_end").rglob(f"raw/{KEY}"))
    stores = (RawStore(folder.parent.parent) for folder in folders)
    attempts = (attempt for store in stores for attempt in store.attempts(KEY))
    found = next((a for a in attempts if a.meta.outcome == "accepted"), None)
    if found is None:
        return False
    target = RawStore(setup_folder).root / KEY / found.path.name
    if not target.exists():
        link_or_copy(found.path, target)
    return True


def passport_records(setup_folder: Path) -> int:
    """How many records of the sensor the raw store of the set-up has."""
    return len(list((RawStore(setup_folder).root / KEY).glob("*.parquet")))


def read_document(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}

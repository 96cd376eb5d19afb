"""Bundles of earlier versions, as their release wrote them: they stay readable."""

from pathlib import Path

import pytest

from nic_energy import tables
from nic_energy.bundle.layout import VERSION
from nic_energy.bundle.merge import merge
from nic_energy.bundle.verify import verify
from tests.bundle.conftest import Labs

KEPT = sorted((Path(__file__).parents[1] / "data" / "bundles").glob("*.zip"))


def test_the_present_version_is_kept_too() -> None:
    """A new version of the format or of the tables needs a bundle of its own: see the README."""
    names = [path.name for path in KEPT]
    assert f"bundle-{VERSION}-tables-{tables.SCHEMA_VERSION}.zip" in names


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_bundle_verifies(path: Path) -> None:
    """If its numbers are no longer derived, the meaning of a table changed: raise
    `tables.SCHEMA_VERSION` (docs/formats.md).
    """
    report = verify(path)
    assert report.verified, report.problems
    assert report.manifest is not None
    assert report.manifest.setup == "kept"
    assert report.manifest.modalities == 4


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_bundle_merges_with_one_of_today(path: Path, labs: Labs, tmp_path: Path) -> None:
    done = merge([path, labs.zip_b], tmp_path / "merged", {})
    assert done.setups == ("kept", "lab-b")
    energy = tables.read_csv(tmp_path / "merged" / "energy.csv", tables.ENERGY_COLUMNS)
    kept = energy[energy["setup"] == "kept"]
    assert len(kept) == 4
    assert set(kept["source"]) == {"simulated"}
    assert (kept["energy_j"] > 0).all()

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from tests.models.setups import ATTENTION, virtual_setup
from tests.workflow.campaign import Campaign, jobs

pytestmark = pytest.mark.workflow

SETUPS = ["one", "results/two"]


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """Two set-ups whose tables are built, none of them that of the configuration."""
    random = np.random.default_rng(1)
    for label in ("one", "two"):
        put(tmp_path, label, virtual_setup(label, random, own=0.01).energy)
    return Campaign(tmp_path).prepare()


def put(folder: Path, label: str, energy: pd.DataFrame) -> None:
    results = folder / "results" / label
    table = tables.ordered(energy.assign(width=1, height=1), tables.ENERGY_COLUMNS)
    tables.write_csv(results / "energy.csv", table)
    short = energy[["network"]].drop_duplicates().assign(abbreviation=energy["network"].str[:4])
    tables.write_csv(results / "models" / "energy_models.csv", short)


def test_setups_are_compared_and_again_only_when_one_has_changed(campaign: Campaign) -> None:
    campaign.configure(compare=SETUPS)
    campaign.succeed("compare")
    folder = campaign.folder / "results" / "comparison"
    slopes = tables.read_csv(folder / "slopes.csv", tables.NORMALISED_SLOPE_COLUMNS)
    assert set(slopes["setup"]) == {"one", "two"}
    assert set(slopes["source"]) == {"simulated"}
    assert (folder / "comparison.html").exists()
    assert (folder / "figures" / "normalised_slopes.png").exists()
    assert not (campaign.results() / "energy.csv").exists()
    assert jobs(campaign.succeed("compare", "--dry-run")) == {}
    put(campaign.folder, "two", virtual_setup("two", np.random.default_rng(2)).energy)
    assert jobs(campaign.succeed("compare", "--dry-run"))["compare_setups"] == 1
    campaign.configure(compare_reference=ATTENTION)
    campaign.succeed("compare")
    slopes = tables.read_csv(folder / "slopes.csv")
    assert set(slopes["reference"]) == {f"{ATTENTION}:low"}


def test_nothing_to_compare_is_said(campaign: Campaign) -> None:
    done = campaign.run("compare")
    assert done.returncode != 0
    assert "compare: name at least two set-ups" in done.stdout
    done = campaign.run("compare", "--config", "compare=[one, nowhere]")
    assert done.returncode != 0
    assert "results/nowhere/energy.csv" in done.stdout

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.config import project_root
from nic_energy.models.ranking import ranking
from tests.models.table2 import NETWORKS, energies

SCRIPT = project_root() / "workflow" / "scripts" / "rank_networks.py"


def test_the_script_writes_the_ranking_of_the_energies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy = tables.ordered(energies(8, noise=0.01), tables.ENERGY_COLUMNS)
    tables.write_csv(tmp_path / "energy.csv", energy)
    monkeypatch.setattr("nic_energy.logs.log_to", lambda path: None)
    snakemake = SimpleNamespace(
        input=SimpleNamespace(energy=str(tmp_path / "energy.csv")),
        output=[str(tmp_path / "models/ranking.csv")],
        params=SimpleNamespace(config=json.dumps({"setup": "table2"})),
        log=[str(tmp_path / "log")],
    )
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": snakemake})
    found = tables.read_csv(tmp_path / "models/ranking.csv", tables.RANKING_COLUMNS)
    expected = ranking(energies(8, noise=0.01), NETWORKS)
    assert len(found) == 2 * 2 * 6
    ranks = ["quantity", "level", "network", "rank_best", "rank_worst"]
    pd.testing.assert_frame_equal(found[ranks], expected[ranks], check_dtype=False)
    assert found["value"].to_numpy() == pytest.approx(expected["value"].to_numpy())
    # At 1 % of noise Canch and Cattn are far above the others.
    high = found[(found["quantity"] == "alpha_j_per_pixel") & (found["level"] == "high")]
    ordered = high.set_index("abbreviation")["rank_best"]
    assert ordered["Canch"] == 5 and ordered["Cattn"] == 6

from pathlib import Path

import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.models.linear import energy_models
from nic_energy.models.slopes import complexity_models
from nic_energy.report.page import FLAG_MEANINGS, render, write_page
from tests.models.table2 import NETWORKS, TABLE1, complexity, energies


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    energy = energies(5, noise=0.02).assign(
        idle_power_w=20.0,
        idle_kind="cold",
        power_field="power_instant_w",
        ci_half_width_percent=0.8,
        duration_s=0.1,
        converged=[False] + [True] * (220 - 1),
        flags=["not_converged"] + [""] * (220 - 1),
        device_name="<b>GPU</b>",
    )
    models = energy_models(energy, NETWORKS, 10, 1)[0]
    missing = [
        {
            "setup": "table2",
            "network": "mbt2018",
            "quality": 3,
            "image": "gone",
            "failed_attempts": 2,
            "last_error": "MeterError: GPU is lost",
        }
    ]
    tables.write_csv(tmp_path / "energy.csv", tables.ordered(energy, tables.ENERGY_COLUMNS))
    tables.write_csv(tmp_path / "missing.csv", tables.frame(missing, tables.MISSING_COLUMNS))
    tables.write_csv(tmp_path / "models/energy_models.csv", models)
    tables.write_csv(
        tmp_path / "models/complexity_models.csv", complexity_models(models, complexity(), TABLE1)
    )
    (tmp_path / "slope_over_mac.svg").write_text("<svg/>")
    return tmp_path


def test_the_page_says_where_its_joules_come_from_and_needs_nothing_else(folder: Path) -> None:
    write_page(folder, folder / "report.html", [str(folder / "slope_over_mac.svg")])
    page = (folder / "report.html").read_text()
    assert "simulated (no real device was metered)" in page
    assert "20.00 W (cold)" in page
    assert "220 modalities, 1 missing; 1 did not reach the width" in page
    assert "MeterError: GPU is lost" in page
    assert FLAG_MEANINGS["not_converged"] in page
    assert 'src="data:image/svg+xml;base64,' in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "published_kmac_per_pixel" in page


def test_names_from_outside_are_escaped(folder: Path) -> None:
    write_page(folder, folder / "report.html", [])
    page = (folder / "report.html").read_text()
    assert "&lt;b&gt;GPU&lt;/b&gt;" in page
    assert "<b>GPU" not in page


def test_an_external_table_has_fewer_columns(folder: Path) -> None:
    energy = tables.read_csv(folder / "energy.csv").drop(columns="device_name")
    bare = energy.assign(
        source="external", idle_power_w=None, ci_half_width_percent=None, flags=None
    )
    models = tables.read_csv(folder / "models/energy_models.csv")
    slopes = tables.read_csv(folder / "models/complexity_models.csv")
    page = render(bare, pd.DataFrame(columns=list(tables.MISSING_COLUMNS)), models, slopes, [])
    assert "external (a table that was brought along)" in page
    assert "not stated" in page
    assert "Missing" not in page
    assert "Flags" not in page

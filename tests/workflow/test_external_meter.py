"""An external meter's log in the workflow: compared, drawn, reported, never a reason to measure."""

import json
from pathlib import Path
from typing import Any

import pytest

from nic_energy import tables
from nic_energy.traces import read_trace
from tests.workflow.campaign import Campaign

pytestmark = pytest.mark.workflow

GAIN, HOST_W, AHEAD_S = 0.8, 60.0, 7205.0
WORKLOAD = """network,level,alpha_j_per_pixel,beta_j,residual_percent,dynamic_power_w,ripple_share
tiny,low,1e-5,5,1,60,0.1
tiny,high,2e-5,9,1,110,0.1
"""
VIRTUAL: dict[str, Any] = {
    "device": "virtual",
    "meter": "virtual",
    "passport": False,
    "virtual": {"workload": "workload.csv", "load_s": 2},
    "protocol": {"idle_s": 10, "min_duration_s": 1.5, "sampling_hz": 10},
}
METER = {"path": "meter.csv", "name": "wall meter 7", "uncertainty_percent": 0.1}
COMPARING = {"compare_external_meter", "plot_external_meter", "write_report", "all"}


def write_log(campaign: Campaign) -> Path:
    """A log of a meter at the plug: what the sensor read, turned back, by a clock of its own."""
    rows = []
    for path in campaign.traces():
        trace = read_trace(path)
        wall, power = trace.column("wall_time_s"), trace.column("power_instant_w")
        rows += list(zip(wall + AHEAD_S, power / GAIN + HOST_W, strict=True))
    path = campaign.folder / "meter.csv"
    lines = [f"{at:.3f},{watt:.4f}" for at, watt in sorted(rows)]
    path.write_text("\n".join(["unix_time_s,power_w", *lines, ""]))
    return path


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign(tmp_path_factory.mktemp("metered")).prepare()
    (campaign.folder / "workload.csv").write_text(WORKLOAD)
    campaign.configure(**VIRTUAL)
    campaign.succeed()
    write_log(campaign)
    campaign.configure(external_meter=METER)
    return campaign


def test_the_comparison_is_made_and_nothing_is_measured(campaign: Campaign) -> None:
    planned = set(campaign.planned())
    assert planned >= COMPARING
    assert not planned & {"measure", "measure_idle", "prepare_image"}
    campaign.succeed()
    summary = json.loads((campaign.results() / "external_meter.json").read_text())
    assert summary["source"] == "simulated"
    assert summary["gain"]["value"] == pytest.approx(GAIN, abs=0.01)
    assert summary["offset_w"]["value"] == pytest.approx(-GAIN * HOST_W, abs=2)
    assert (summary["clock"]["time_zone_s"], summary["runs"]) == (7200, 6)
    runs = tables.read_csv(campaign.results() / "external_meter.csv", tables.EXTERNAL_METER_COLUMNS)
    energy = tables.read_csv(campaign.results() / "energy.csv")
    assert runs["energy_j"].tolist() == pytest.approx(energy["energy_j"].tolist())
    assert runs["energy_calibrated_j"].tolist() == pytest.approx(
        (energy["energy_j"] / summary["gain"]["value"]).tolist()
    )
    for name in ("figures/external_meter.svg", "figures/external_meter.png"):
        assert (campaign.results() / name).stat().st_size > 0
    page = (campaign.results() / "report.html").read_text()
    assert "External meter" in page
    assert "Against wall meter 7, which sees the whole machine" in page
    assert 'href="external_meter.json"' in page
    assert campaign.planned() == {}
    assert len(campaign.attempts()) == 6


def test_a_new_log_is_compared_again(campaign: Campaign) -> None:
    path = write_log(campaign)
    path.write_text(path.read_text().replace("unix_time_s", "# again\nunix_time_s"))
    assert set(campaign.planned()) == COMPARING


def test_a_bad_log_is_named_and_the_energies_stay(campaign: Campaign) -> None:
    (campaign.folder / "bad.csv").write_text("unix_time_s,power_w\n1,5\n2,6,7\n")
    before = (campaign.results() / "energy.csv").read_bytes()
    campaign.configure(external_meter={**METER, "path": "bad.csv"})
    try:
        done = campaign.run()
    finally:
        campaign.configure(external_meter=METER)
    assert done.returncode != 0
    assert "bad.csv, line 3: has 3 cells, but line 1 names 2 columns" in done.stdout
    assert (campaign.results() / "energy.csv").read_bytes() == before


def test_options_that_contradict_one_another_are_refused_before_any_job(campaign: Campaign) -> None:
    campaign.configure(external_meter={**METER, "power_column": "p", "unit": "Wh"})
    try:
        done = campaign.run("--dry-run")
    finally:
        campaign.configure(external_meter={**METER, "power_column": None, "unit": None})
    assert done.returncode != 0
    assert "external_meter.unit: Wh is no unit of power" in done.stdout

"""Every budget's benchmark, run at a tiny size: it works, whatever the times are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.budgets import aggregation, campaign, folder, macs, overhead, rerun, windows
from benchmarks.budgets.report import Section, summary
from nic_energy.config import project_root, read_networks
from nic_energy.energy.table import from_table
from nic_energy.tables import write_csv
from tests.models.table2 import counted, energies

NETWORKS = [{"name": "bmshj2018-factorized", "qualities": [3]}]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of a real run is touched."""
    monkeypatch.setattr(folder, "FOLDER", tmp_path)
    yield


def budgets(section: Section) -> list[str]:
    text = summary([section])
    assert all(verdict.budget in text for verdict in section.verdicts)
    assert section.text.count("|") > 10
    return [verdict.budget for verdict in section.verdicts]


@pytest.mark.workflow
def test_a_campaign_its_floor_and_what_runs_again() -> None:
    whole = campaign.run(images=3, floor_runs=1, networks=NETWORKS)
    assert len(budgets(whole)) == 2
    kept = campaign.kept()
    assert kept is not None
    assert (kept.modalities, kept.points) == (3, 1)
    assert kept.edges > kept.jobs > 25
    assert kept.peak_mib > kept.floor_peak_mib > 10
    again = rerun.run(images=3, runs=1, networks=NETWORKS)
    assert len(budgets(again)) == 3
    assert again.verdicts[2].met
    with pytest.raises(FileNotFoundError, match="no whole campaign of 60 images"):
        rerun.measure()


@pytest.mark.workflow
def test_overhead_by_a_worker_and_by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"min_duration_s": 0.1, "min_repetitions": 2, "max_repetitions": 2}
    monkeypatch.setattr(overhead, "PROTOCOL", {**overhead.PROTOCOL, **quick})
    monkeypatch.setattr(overhead, "POINTS", [{"name": "factorized", "qualities": [1]}])
    found = overhead.measure(images=2, processes=1)
    assert [each.how for each in found] == ["first", "resident", "process"]
    for each in found:
        assert each.wall_s > each.ran_s + each.waited_s > 0.2
        assert each.overhead_s > 0
    assert "warm worker" in budgets(overhead.section(found, None))[0]


def test_the_share_of_measured_windows() -> None:
    section = windows.run(images=1, rules={"short": {"paired_idle_s": 0, "min_duration_s": 1}})
    assert len(budgets(section)) == 1
    assert "44 modalities" in section.text


def test_tables_of_growing_size(tmp_path: Path) -> None:
    for peer in ("duckdb", "polars"):
        pytest.importorskip(peer)
    source = tmp_path / "theirs.csv"
    table = energies().drop(columns="pixels")
    numbers = table["image"].str.removeprefix("image").astype(int)
    write_csv(source, table.assign(width=900 + 10 * numbers, height=800))
    networks = read_networks(project_root() / "config" / "networks.tsv")
    write_csv(tmp_path / "energy.csv", from_table(source, networks, "theirs", counted()).energy)
    found = aggregation.measure_tables((500, 2_000), tmp_path / "energy.csv", tmp_path / "rows")
    assert set(found.product) == {500, 2_000}
    assert all(took.peak_mib > 50 for took in found.product.values())


def test_counters_side_by_side() -> None:
    pytest.importorskip("ptflops")
    section = macs.run(runs=1, levels=("low",))
    assert budgets(section) == ["complexity.csv: 44 rows from 12 architectures, after imports"]
    assert section.text.count("yes, all 6") == 2

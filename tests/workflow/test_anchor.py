"""The anchor modality in a campaign that Snakemake runs, in-process and through the worker."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy import tables
from nic_energy.bundle.pack import PackRequest, pack
from nic_energy.traces import read_meta
from nic_energy.worker.registry import stop, workers
from tests.workflow.campaign import Campaign

pytestmark = pytest.mark.workflow


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short path: that of a Unix socket has at most 107 characters."""
    made = Path(f"/tmp/nic-{os.getpid()}-{os.urandom(3).hex()}")
    made.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(made))
    yield made
    for _, status in workers():
        stop(status)
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("worker", [False, True])
def test_anchors_join_a_campaign_and_measure_nothing_again(
    folder: Path, worker: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = Campaign(folder).prepare()
    campaign.configure(
        images={"select": 2},
        worker={"enabled": worker},
        anchor={"every": 2, "network": "tiny", "quality": 2},
    )
    campaign.succeed()
    results = campaign.results()
    anchors = sorted((results / "raw" / "anchor").rglob("*.parquet"))
    assert len(anchors) == 2
    metas = [read_meta(path) for path in anchors]
    assert {meta.outcome for meta in metas} == {"accepted"}
    assert {meta.modality.quality for meta in metas if meta.modality} == {2}
    assert {meta.run["process"]["worker"] for meta in metas} == {worker}
    assert len(campaign.traces()) == len(campaign.attempts()) == 4

    table = tables.read_csv(results / "anchors.csv", tables.ANCHOR_COLUMNS)
    assert set(table["source"]) == {"estimated"}
    assert (table["energy_j"].notna() & (table["network"] == "tiny")).all()
    assert len(table) == 2

    campaign.configure(anchor={"every": 1, "quality": 1})
    assert not {"measure", "measure_idle"} & set(campaign.planned())
    assert len(list((results / "raw" / "anchor").rglob("*.parquet"))) == 2

    monkeypatch.chdir(campaign.folder)
    packed = pack(results, folder / "small.zip", PackRequest())
    assert packed.report is not None
    assert packed.report.verified, packed.report.problems
    assert sum("raw/anchor/" in name for name in packed.manifest.files) == 2

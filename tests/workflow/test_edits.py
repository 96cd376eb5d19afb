"""What an edit of the networks table, of a network's module or of the image source runs again."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from nic_energy import tables
from tests.images.pictures import picture
from tests.workflow.campaign import TABLE, Campaign

pytestmark = pytest.mark.workflow

OWN = "own\tOwn\t1\t2\t4\town_codec:build\n"
MODULE = "from tests.workflow.tiny import Tiny\n\n\ndef build(quality):\n    return Tiny({})\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """One network of a module of its own, two images; run to the energies."""
    folder = tmp_path_factory.mktemp("edits")
    made = Campaign(folder, environment={"PYTHONPATH": ""}).prepare()
    made.environment = path_with(folder)
    (folder / "networks.tsv").write_text(TABLE + OWN)
    (folder / "own_codec.py").write_text(MODULE.format("4 * quality"))
    picture(32, 32).save(folder / "photos" / "a holiday (1).png")
    made.configure(networks=[{"name": "own", "qualities": [1]}], images={"select": 2})
    made.succeed("results/small/energy.csv", "results/complexity.csv")
    return made


def path_with(folder: Path) -> dict[str, str]:
    """The module of the network can be imported from the campaign's folder."""
    inherited = Campaign(folder).env()["PYTHONPATH"]
    return {"PYTHONPATH": f"{inherited}:{folder}"}


@pytest.fixture
def campaign(finished: Campaign, tmp_path: Path) -> Campaign:
    """A copy of the finished campaign, to change."""
    folder = tmp_path / "campaign"
    shutil.copytree(finished.folder, folder)
    return Campaign(folder, dict(finished.config), path_with(folder))


def energies(campaign: Campaign) -> pd.DataFrame:
    return tables.read_csv(campaign.results() / "energy.csv", tables.ENERGY_COLUMNS)


def planned(campaign: Campaign) -> dict[str, int]:
    return campaign.planned("results/small/energy.csv", "results/complexity.csv")


def test_a_name_with_spaces_is_an_image_like_others(finished: Campaign) -> None:
    assert sorted(energies(finished)["image"]) == ["a_holiday_1_", "image0"]


def test_a_name_with_braces_is_refused_with_a_word(campaign: Campaign) -> None:
    picture(32, 32).save(campaign.folder / "photos" / "b {1}.png")
    done = campaign.run("--dry-run")
    assert done.returncode != 0
    assert "the name of photos/b {1}.png holds a brace" in done.stdout
    assert "give the file another one" in " ".join(done.stdout.split())


def test_another_level_or_abbreviation_measures_nothing_and_renames(campaign: Campaign) -> None:
    (campaign.folder / "networks.tsv").write_text(
        TABLE + "own\tMine\t2-3\t1,4\t4\town_codec:build\n"
    )
    assert "measure" not in planned(campaign)
    output = campaign.succeed("results/small/models/energy_models.csv")
    assert "rule measure:" not in output and "STALE" not in output
    assert set(energies(campaign)["level"]) == {"high"}
    models = tables.read_csv(campaign.results() / "models" / "energy_models.csv")
    assert models["abbreviation"].tolist() == ["Mine"]
    assert len(campaign.attempts()) == 2


def test_another_padding_measures_again_and_is_announced(campaign: Campaign) -> None:
    (campaign.folder / "networks.tsv").write_text(TABLE + OWN.replace("\t4\t", "\t8\t"))
    output = campaign.succeed("results/small/energy.csv")
    assert "STALE: 2 will be measured again: own changed (its module, padding or factory)" in output
    assert len(campaign.attempts()) == 4


def test_an_edited_module_is_measured_and_counted_again(campaign: Campaign) -> None:
    before = tables.read_csv(campaign.folder / "results" / "complexity.csv").set_index("network")
    (campaign.folder / "own_codec.py").write_text(MODULE.format("8 * quality"))
    found = planned(campaign)
    assert (found["measure"], found["count_macs"]) == (2, 1)
    campaign.succeed("results/complexity.csv")
    after = tables.read_csv(campaign.folder / "results" / "complexity.csv").set_index("network")
    counts = [table["kmac_per_pixel"].loc["own"].max() for table in (before, after)]
    assert counts[1] > 1.9 * counts[0]


def test_more_images_of_a_source_prepare_and_measure_only_these(campaign: Campaign) -> None:
    before = {path: path.stat().st_mtime_ns for path in campaign.traces()}
    (campaign.folder / "photos" / "notes.txt").write_text("no image")
    assert "index_images" not in planned(campaign)
    campaign.configure(images={"select": 3, "count": 4})
    output = campaign.succeed("results/small/energy.csv")
    assert output.count("rule prepare_image:") == output.count("rule measure:") == 1
    assert "is linked, not measured again" not in output
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_forced_remeasurement_measures_and_asked_for_no_more_nothing_runs(
    campaign: Campaign,
) -> None:
    target = "results/small/energy.csv"
    output = campaign.succeed(target, "--forcerun", "measure", "--config", "remeasure=true")
    assert output.count("rule measure:") == 2 and "rule measure_idle:" not in output
    assert len(campaign.attempts()) == 4
    assert planned(campaign) == {}


def test_tables_of_what_is_there_see_a_trace_that_has_come(campaign: Campaign) -> None:
    command = ("results/small/energy.csv", "--config", "allow_missing=true")
    lost = campaign.traces()[0]
    kept = lost.read_bytes()
    lost.unlink()
    campaign.succeed(*command)
    assert len(energies(campaign)) == 1
    assert campaign.planned(*command) == {}
    lost.write_bytes(kept)
    assert set(campaign.planned(*command)) == {"build_energy"}
    campaign.succeed(*command)
    assert len(energies(campaign)) == 2


def test_tables_of_what_is_there_want_no_idle_reference(campaign: Campaign) -> None:
    campaign.configure(protocol={"idle_s": 0.7})
    found = campaign.planned("--config", "allow_missing=true")
    assert found["plot_power_trace"] == 1 and "measure_idle" not in found


def test_a_trace_of_no_image_of_the_campaign_is_refused_by_name(campaign: Campaign) -> None:
    done = campaign.run("results/small/traces/chain/own/q1/image7.parquet")
    assert done.returncode != 0
    assert "image 'image7' is not in the collection; like it: image0" in done.stdout
    assert "StopIteration" not in done.stdout

"""What a change in the campaign runs again, and what it never does."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.analysis import TABLES
from nic_energy.bundle.merge import merge
from nic_energy.bundle.pack import PackRequest, pack
from nic_energy.traces import read_meta, read_trace
from tests.images.pictures import picture
from tests.workflow.campaign import CONFIG, ROOT, Campaign, jobs

pytestmark = pytest.mark.workflow

ANALYSIS = {
    "build_energy",
    "fit_energy_models",
    "fit_complexity_models",
    "rank_networks",
    "correlate_predictors",
    "compare_with_paper",
    "validate_energy_models",
    "compare_models",
    "fit_joint_model",
    "plot_residuals",
    "plot_joint_model",
    "plot_predictor_correlations",
    "write_tables",
    "plot_idle_drift",
    "plot_uncertainty_budget",
    "plot_power_trace",
    "plot_energy_over_pixels",
    "plot_slope_over_mac",
    "write_report",
    "all",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A campaign of two points and three images, run to its end."""
    campaign = Campaign(tmp_path_factory.mktemp("finished")).prepare()
    output = campaign.succeed()
    (campaign.folder / "output.txt").write_text(output)
    return campaign


@pytest.fixture
def campaign(finished: Campaign, tmp_path: Path) -> Iterator[Campaign]:
    """A copy of the finished campaign, to change."""
    folder = tmp_path / "campaign"
    shutil.copytree(finished.folder, folder)
    yield Campaign(folder, dict(finished.config))


def test_tables_derived_for_a_bundle_are_those_of_the_workflow(
    finished: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verification and workflow cannot drift apart: the same tables, byte for byte."""
    results = finished.results()
    written = {path.relative_to(results).as_posix() for path in results.rglob("*.csv")}
    typeset = {name for name in written if name.startswith("tables/")}
    assert written - typeset == set(TABLES)
    monkeypatch.chdir(finished.folder)
    bundle = tmp_path / "small.zip"
    packed = pack(results, bundle, PackRequest(raw=True, figures=True))
    assert packed.report is not None
    assert packed.report.verified, packed.report.problems
    merge([bundle], tmp_path / "merged", {})
    for name in TABLES:
        derived = tmp_path / "merged" / "small" / name
        assert derived.read_bytes() == (results / name).read_bytes(), name


def test_all_files_of_the_contract_are_there(finished: Campaign) -> None:
    results = finished.results()
    for name in (
        "reference/idle.parquet",
        "reference/environment.json",
        "energy.csv",
        "energy.parquet",
        "energy_estimators.csv",
        "missing.csv",
        "idle.csv",
        "diagnostics.csv",
        "models/ranking.csv",
        "models/validation.csv",
        "models/bootstrap.csv",
        "models/residuals.csv",
        "models/regression_comparison.csv",
        "models/predictor_comparison.csv",
        "models/size_effects.csv",
        "models/joint_model.json",
        "models/joint_model.csv",
        "figures/residuals.svg",
        "figures/residuals.png",
        "figures/joint_model.svg",
        "figures/joint_model.png",
        "figures/idle_drift.svg",
        "figures/uncertainty_budget.svg",
        "models/energy_models.csv",
        "models/complexity_models.csv",
        "models/predictor_correlations.csv",
        "models/paper_comparison.csv",
        "tables/table2.tex",
        "figures/predictor_correlations.svg",
        "figures/power_trace.svg",
        "figures/power_trace.png",
        "figures/energy_over_pixels_tiny.svg",
        "figures/energy_over_pixels_tiny.png",
        "figures/slope_over_mac.svg",
        "figures/slope_over_mac.png",
        "report.html",
    ):
        assert (results / name).stat().st_size > 0, name
    for name in ("complexity.csv", "complexity_layers.csv"):
        assert (finished.folder / "results" / name).stat().st_size > 0
    assert [path.relative_to(results / "traces").as_posix() for path in finished.traces()] == [
        f"chain/tiny/q{quality}/image{image}.parquet" for quality in (1, 3) for image in range(3)
    ]


def test_every_joule_says_that_it_is_estimated(finished: Campaign) -> None:
    results = finished.results()
    for name in (
        "energy.csv",
        "energy_estimators.csv",
        "models/energy_models.csv",
        "models/complexity_models.csv",
        "models/validation.csv",
        "models/bootstrap.csv",
        "models/residuals.csv",
        "models/regression_comparison.csv",
    ):
        table = tables.read_csv(results / name)
        assert list(table.columns[:3]) == ["setup", "source", "part"]
        assert set(table["source"]) == {"estimated"}
    assert "not measured" in (results / "report.html").read_text()
    assert "not measured" in (results / "figures/slope_over_mac.svg").read_text()
    for name in ("residuals", "joint_model"):
        assert "not measured" in (results / f"figures/{name}.svg").read_text()
    joint = json.loads((results / "models/joint_model.json").read_text())
    assert (joint["source"], joint["fitted"]) == ("estimated", False)
    environment = json.loads((results / "reference/environment.json").read_text())
    assert environment["source"] == "estimated"
    assert environment["run_settings"]["deterministic_algorithms"] is True


def test_a_row_says_what_was_run(finished: Campaign) -> None:
    energy = tables.read_csv(finished.results() / "energy.csv", tables.ENERGY_COLUMNS)
    assert len(energy) == 6
    row = energy[energy["image"] == "image2"].iloc[0]
    assert (row["width"], row["height"], row["pixels"]) == (128, 96, 12288)
    assert (row["idle_kind"], row["weights"], row["deterministic"]) == ("cold", "random", True)
    assert row["bpp"] > 0
    assert row["psnr_db"] > 0
    assert row["executions"] > 1
    trace = read_trace(finished.traces()[0])
    assert trace.meta.run["torch"]
    assert trace.meta.run["network"]["factory"] == "tests.workflow.tiny:build"
    assert trace.meta.sampler["samples"] >= trace.samples.num_rows
    assert all(window.duration_s >= 0.1 for window in trace.meta.windows if window.admissible)


def test_the_run_says_at_its_start_how_much_there_is_to_do(finished: Campaign) -> None:
    output = (finished.folder / "output.txt").read_text()
    assert "Set-up small: 2 network-quality pairs of 1 network(s)" in output
    assert "6 of 6 modalities · " in output


def test_nothing_changed_runs_nothing(campaign: Campaign) -> None:
    assert campaign.planned() == {}


def test_a_touched_image_measures_nothing(campaign: Campaign) -> None:
    (campaign.folder / "photos" / "image0.png").touch()
    assert "measure" not in campaign.planned()


def test_a_new_image_runs_its_own_jobs_and_what_aggregates_them(campaign: Campaign) -> None:
    before = {path: path.stat().st_mtime_ns for path in campaign.traces()}
    picture(80, 64).save(campaign.folder / "photos" / "new.png")
    counts = jobs(campaign.succeed().split("Select jobs to execute")[-1]) or {}
    assert counts == {} or counts["measure"] == 2
    assert len(campaign.attempts()) == 8
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    energy = tables.read_csv(campaign.results() / "energy.csv")
    assert sorted(energy["image"].unique()) == ["image0", "image1", "image2", "new"]


def test_a_new_network_runs_its_own_jobs_and_what_aggregates_them(campaign: Campaign) -> None:
    networks = [*CONFIG["networks"], {"name": "other", "qualities": [1]}]
    campaign.configure(networks=networks)
    planned = campaign.planned()
    assert planned["measure"] == 3
    assert "prepare_image" not in planned
    assert "measure_idle" not in planned


def test_a_removed_image_or_network_measures_nothing(campaign: Campaign) -> None:
    campaign.configure(networks=[{"name": "tiny", "qualities": [1]}])
    planned = campaign.planned()
    assert "measure" not in planned
    assert "build_energy" in planned


def test_another_estimator_measures_nothing_and_changes_the_table(campaign: Campaign) -> None:
    campaign.configure(estimator="paper_sum")
    assert set(campaign.planned()) <= ANALYSIS
    campaign.succeed()
    energy = tables.read_csv(campaign.results() / "energy.csv")
    assert set(energy["estimator"]) == {"paper_sum"}
    both = tables.read_csv(campaign.results() / "energy_estimators.csv")
    assert {"paper_sum", "trapezoid", "counter"} == set(both["estimator"])
    assert len(campaign.attempts()) == 6


def test_another_idle_reference_measures_no_modality(campaign: Campaign) -> None:
    campaign.configure(protocol={"idle_s": 0.7})
    planned = campaign.planned()
    assert planned["measure_idle"] == 1
    assert "measure" not in planned


def test_a_changed_setting_is_announced_measured_again_and_linked_when_it_comes_back(
    campaign: Campaign,
) -> None:
    campaign.configure(networks=[{"name": "tiny", "qualities": [1]}], images={"select": 1})
    campaign.succeed()
    first = read_meta(campaign.traces()[0])
    campaign.configure(protocol={"min_duration_s": 0.15})
    output = campaign.succeed()
    announced = output.index("STALE: 1 will be measured again: protocol.min_duration_s 0.1 -> 0.15")
    assert announced < output.index("rule measure:")
    assert len(campaign.attempts()) == 7
    assert read_meta(campaign.traces()[0]).settings["protocol"]["min_duration_s"] == 0.15

    campaign.configure(protocol={"min_duration_s": 0.1})
    assert "is linked, not measured again" in campaign.succeed()
    assert len(campaign.attempts()) == 7
    assert read_meta(campaign.traces()[0]) == first


def test_lost_records_of_snakemake_are_no_reason_to_measure(campaign: Campaign) -> None:
    campaign.forget_snakemake()
    assert "measure" not in campaign.planned()
    for trace in campaign.traces():
        trace.unlink()
    output = campaign.succeed()
    assert output.count("is linked, not measured again") == 6
    assert len(campaign.attempts()) == 6


def test_with_lost_records_a_changed_setting_is_still_noticed(campaign: Campaign) -> None:
    campaign.forget_snakemake()
    campaign.configure(precision="tf32")
    (campaign.results() / "energy.csv").unlink()
    done = campaign.run()
    assert done.returncode != 0
    assert "precision fp32 -> tf32" in done.stdout
    assert "--forcerun measure" in done.stdout
    assert len(campaign.attempts()) == 6


def test_tables_from_what_is_there_list_what_is_missing(campaign: Campaign) -> None:
    campaign.traces()[0].unlink()
    output = campaign.succeed("tables", "--config", "allow_missing=true")
    assert "rule measure" not in output
    missing = tables.read_csv(campaign.results() / "missing.csv")
    assert missing[["network", "quality", "image"]].to_numpy().tolist() == [["tiny", 1, "image0"]]
    assert len(tables.read_csv(campaign.results() / "energy.csv")) == 5


def test_a_table_that_was_brought_along_is_analysed_and_nothing_measured(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path).prepare()
    rows = [
        {
            "network": "tiny",
            "quality": quality,
            "image": f"i{width}",
            "width": width,
            "height": 100,
            "energy_j": 1e-5 * quality * width * 100 + 2,
        }
        for quality in (1, 3)
        for width in range(100, 1300, 100)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "theirs.csv", index=False)
    campaign.configure(energy_table="theirs.csv")
    output = campaign.succeed()
    assert "Nothing is measured" in output
    assert "rule measure" not in output
    models = tables.read_csv(campaign.results() / "models/energy_models.csv")
    assert set(models["source"]) == {"external"}
    assert models["alpha_j_per_pixel"].tolist() == pytest.approx([1e-5, 3e-5], rel=1e-9)
    assert "external (a table" in (campaign.results() / "report.html").read_text()


def test_the_lab_campaign_plans_without_gpu_and_without_images(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path)
    (tmp_path / "campaign.yaml").write_text("{}")
    planned = campaign.planned()
    assert planned["download_images"] == 1
    assert planned["measure_idle"] == 1
    assert planned["build_energy"] == 1


def test_the_download_runs_where_snakemake_does() -> None:
    """Nodes of a cluster often have no network. A dry run does not tell where a job will run."""
    block = re.search(r"^localrules:\n((?: {4}\w+,\n)+)", (ROOT / "Snakefile").read_text(), re.M)
    assert block is not None
    assert "download_images" in block[1].replace(",", "").split()


def test_an_edited_figure_measures_nothing(campaign: Campaign) -> None:
    script = ROOT / "workflow" / "scripts" / "plot_slope_over_mac.py"
    script.touch()
    planned = campaign.planned()
    assert set(planned) <= ANALYSIS
    assert "plot_slope_over_mac" in planned

"""Set-ups side by side, from folders: virtual GPUs whose true slopes are known."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from benchmarks.campaigns import configuration, grey_images, sensor_gain
from benchmarks.coverage import sizes
from nic_energy import comparison, tables
from nic_energy.cli.main import main
from nic_energy.comparison import compare, read_setup
from nic_energy.energy.build import Analysis, build_energy
from nic_energy.energy.estimates import Calibration
from nic_energy.errors import InputError
from nic_energy.figures import normalised_slopes
from nic_energy.files import write_json
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.meters.virtual import read_preset, read_workload
from nic_energy.models.linear import energy_models
from nic_energy.report.comparison import render

FACTORIZED, HYPERPRIOR, ATTENTION = (
    "bmshj2018-factorized",
    "bmshj2018-hyperprior",
    "cheng2020-attn",
)
POINTS = {FACTORIZED: 3, HYPERPRIOR: 3, ATTENTION: 2}
FACTOR = 1.4
"""What cheng2020-attn costs more on the virtual Hopper than on the others."""


IMAGES = dict(list(sizes().items())[::2])


def workload(folder: Path) -> Path:
    """Table 2, but with another slope of one network."""
    lines = read_workload("table2")
    rows = [
        {
            "network": network,
            "level": level,
            "alpha_j_per_pixel": line.alpha_j_per_pixel * (FACTOR if network == ATTENTION else 1),
            "beta_j": line.beta_j,
            "residual_percent": 100 * line.residual_share,
            "dynamic_power_w": line.dynamic_power_w,
            "ripple_share": line.ripple_share,
        }
        for (network, level), line in lines.items()
    ]
    path = folder / "workload.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def simulate(folder: Path, gpu: str, workload: str, calibrated: bool) -> Path:
    """A virtual set-up with its tables, labelled by its preset."""
    gain = sensor_gain(read_preset(gpu))
    document = {"calibration": {"gain": gain, "gain_u": 0.004}} if calibrated else {}
    config = configuration(
        gpu,
        setup=gpu,
        networks=[{"name": name, "qualities": [quality]} for name, quality in POINTS.items()],
        virtual={"workload": workload},
        protocol={"context_idle_s": 0, "paired_idle_s": 0},
        **document,
    )
    setup = folder / gpu
    traces = simulate_campaign(config, grey_images(IMAGES, folder / "images"), setup)
    analysis = Analysis("trapezoid", calibration=Calibration(gain, 0.004) if calibrated else None)
    found = build_energy(traces, setup / "reference" / "idle.parquet", config.settings(), analysis)
    models, _ = energy_models(found.energy, config.networks, 10, 0)
    tables.write_csv(setup / "energy.csv", found.energy)
    tables.write_csv(setup / "models" / "energy_models.csv", models)
    write_json(setup / "config.json", config.document)
    return setup


@pytest.fixture(scope="module")
def setups(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two set-ups of one workload, calibrated, and one of another, not calibrated."""
    logging.disable(logging.WARNING)
    folder = tmp_path_factory.mktemp("results")
    return {
        "turing": simulate(folder, "turing", "table2", True),
        "a100": simulate(folder, "a100", "table2", True),
        "hopper": simulate(folder, "hopper", str(workload(folder)), False),
    }


def rows(table: pd.DataFrame, **wanted: Any) -> list[dict[str, Any]]:
    for name, value in wanted.items():
        table = table[table[name] == value]
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def test_normalised_slopes_hold_those_of_the_virtual_gpus(setups: dict[str, Path]) -> None:
    found = compare(list(setups.values()))
    assert str(found.reference) == f"{FACTORIZED}:low"
    lines = read_workload("table2")
    for row in rows(found.slopes):
        true = (
            lines[row["network"], "low"].alpha_j_per_pixel
            / lines[FACTORIZED, "low"].alpha_j_per_pixel
        )
        if row["network"] == ATTENTION and row["setup"] == "hopper":
            true *= FACTOR
        assert row["ratio_low"] <= true <= row["ratio_high"], row
        assert row["source"] == "simulated"
        assert row["calibrated"] is (row["setup"] != "hopper")


def test_one_workload_is_portable_and_another_is_not(setups: dict[str, Path]) -> None:
    alike = compare([setups["turing"], setups["a100"]])
    assert {row["verdict"] for row in rows(alike.portability)} == {"agrees"}
    (row,) = rows(compare(list(setups.values())).portability, network=ATTENTION)
    assert row["verdict"] == "differs"
    assert row["differing"] == "turing–hopper;a100–hopper"
    assert row["spread_percent"] == pytest.approx(100 * (FACTOR - 1), rel=0.15)
    (other,) = rows(compare(list(setups.values())).portability, network=HYPERPRIOR)
    assert other["verdict"] == "agrees"


def test_joules_and_settings_say_what_cannot_be_compared(setups: dict[str, Path]) -> None:
    found = compare(list(setups.values()))
    (joules,) = rows(found.joules, setup="turing;a100", network=ATTENTION)
    assert joules["comparable"] and joules["ratio_low"] < 1.0 < joules["ratio_high"]
    assert joules["ratio_high"] / joules["ratio_low"] < 1.1
    (raw,) = rows(found.joules, setup="turing;hopper", network=ATTENTION)
    assert not raw["comparable"]
    assert raw["note"] == "not calibrated against an external meter: hopper"
    differing = {row["setting"] for row in rows(found.settings, differs=True)}
    assert {"device_name", "calibrated", "virtual.gpu", "virtual.workload"} <= differing
    same = {row["setting"]: row["value"] for row in rows(found.settings, differs=False)}
    assert (same["estimator"], same["precision"], same["weights"]) == (
        "trapezoid",
        "fp32",
        "random",
    )
    assert same["images"].startswith(f"{len(IMAGES)} (set ")


def test_page_and_figure_say_which_setup_is_what(setups: dict[str, Path]) -> None:
    found = compare(list(setups.values()))
    page = render(dict(found.tables), str(found.reference))
    for text in (
        "<strong>hopper</strong>: simulated",
        "simulated (no real device was metered)".capitalize(),
        "Absolute joules are NOT comparable between a100 and hopper, turing and hopper",
        "et-ups differ in Cattn low",
        "virtual.workload",
    ):
        assert text in page, text
    assert "measured" not in page.replace("no real device was metered", "")
    figure = normalised_slopes.plot(found.slopes, found.portability)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "turing (simulated)", "a100 (simulated)", "hopper (simulated)",
    ]  # fmt: skip
    assert "simulated" in str(figure.get_supxlabel())
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["Bfac, low", "Bhyp, low", "Cattn, low"]
    assert {"differs", "agrees"} <= {text.get_text() for text in axes.texts}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_the_command_writes_everything_and_prints_json(
    setups: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "comparison"
    done = run(*setups.values(), "--output", output, "--json", "--reference", HYPERPRIOR)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["reference"] == f"{HYPERPRIOR}:low"
    assert set(document) == {"reference", *comparison.TABLES}
    assert len(document["slopes"]) == 9
    for name, columns in (
        ("slopes", tables.NORMALISED_SLOPE_COLUMNS),
        ("portability", tables.PORTABILITY_COLUMNS),
        ("ranking", tables.RANKING_COLUMNS),
        ("agreement", tables.AGREEMENT_COLUMNS),
        ("joules", tables.JOULE_COLUMNS),
        ("settings", tables.SETTING_COLUMNS),
    ):
        table = tables.read_csv(output / f"{name}.csv", columns)
        assert len(table) == len(document[name])
    for name in (
        "comparison.html",
        "figures/normalised_slopes.svg",
        "figures/normalised_slopes.png",
    ):
        assert (output / name).stat().st_size > 1000
    shown = run(*setups.values())
    assert "simulated (no real device was metered)" in shown.output
    assert "et-ups differ in Cattn low" in " ".join(shown.output.split())


def copied(setup: Path, target: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    energy = change(tables.read_csv(setup / "energy.csv"))
    tables.write_csv(target / "energy.csv", energy)
    return target


def test_a_published_table_beside_simulated_ones_is_not_tested_against_them(
    setups: dict[str, Path], tmp_path: Path
) -> None:
    keep = ["part", "network", "quality", "level", "image", "width", "height", "pixels", "energy_j"]
    published = copied(
        setups["turing"],
        tmp_path / "published",
        lambda energy: tables.ordered(
            energy[keep].assign(setup="published", source="external", estimator="external"),
            tables.ENERGY_COLUMNS,
        ),
    )
    found = compare([setups["turing"], setups["a100"], published])
    assert {row["setup"] for row in rows(found.portability)} == {"turing;a100"}
    sources = {row["setup"]: row["source"] for row in rows(found.slopes)}
    assert sources["published"] == "external"
    (row,) = rows(found.settings, setting="precision", setup="published")
    assert pd.isna(row["value"]) and pd.isna(row["differs"])
    page = render(dict(found.tables), str(found.reference))
    assert "<strong>published</strong>: external" in page
    assert "Not known of every set-up: " in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.drop(columns=["energy_j"]), r"energy\.csv: column\(s\) missing: energy_j"),
        (lambda e: e.iloc[:0], r"energy\.csv: holds no energies yet"),
        (lambda e: e.assign(energy_j="12 J"), r"energy\.csv, line 2: energy_j is no number"),
        (
            lambda e: e.assign(setup=["a", *["b"] * (len(e) - 1)]),
            r"energy\.csv: holds energies of several set-ups: a, b",
        ),
    ],
)
def test_a_table_that_is_none_of_a_setup_is_named(
    setups: dict[str, Path],
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    bad = copied(setups["turing"], tmp_path / "bad", change)
    with pytest.raises(InputError, match=message):
        read_setup(bad)


def test_a_label_names_a_folder_under_results(
    setups: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").symlink_to(setups["turing"].parent)
    monkeypatch.chdir(tmp_path)
    done = run("turing", "results/a100", "--json")
    assert done.exit_code == 0, done.output
    assert {row["setup"] for row in json.loads(done.stdout)["slopes"]} == {"turing", "a100"}


def test_wrong_folders_and_references_end_with_a_message(
    setups: dict[str, Path], tmp_path: Path
) -> None:
    turing, a100 = setups["turing"], setups["a100"]
    for arguments, code, message in (
        ([turing], 5, "at least two"),
        ([turing, tmp_path], 5, f"{tmp_path}: is no set-up, it holds no energy.csv"),
        ([turing, tmp_path / "none"], 5, "is no set-up, it is no folder"),
        ([turing, turing], 5, "two set-ups have the label turing"),
        ([turing, a100, "--reference", "mbt2018"], 2, "reference: 'mbt2018' is no network"),
        ([turing, a100, "--output", a100], 5, "is the folder of a set-up"),
    ):
        done = run(*arguments)
        assert done.exit_code == code, done.output
        assert message in done.output
        assert "Traceback" not in done.output
    broken = copied(turing, tmp_path / "broken", lambda e: e.assign(setup="broken"))
    (broken / "config.json").write_text("{")
    done = run(broken, a100)
    assert done.exit_code == 5 and "config.json: cannot be read as JSON" in done.output

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.config import resolve
from nic_energy.energy.build import Analysis, build_energy
from nic_energy.energy.table import from_table
from nic_energy.figures import idle_drift, save, uncertainty_budget
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.models.linear import energy_models
from nic_energy.models.paper import paper_comparison
from nic_energy.models.predictor_correlations import correlate_predictors
from nic_energy.models.ranking import ranking
from nic_energy.models.slopes import complexity_models
from nic_energy.report.flags import FLAG_MEANINGS
from nic_energy.report.page import context_of, render, write_page
from nic_energy.report.results import TABLES, Results
from nic_energy.report.sections.energy_over_pixels import with_intervals
from tests.images.pictures import png
from tests.models.table2 import NETWORKS, TABLE1, complexity, counted, energies, published


def put(folder: Path, energy: pd.DataFrame, **others: pd.DataFrame) -> None:
    """The tables of a set-up, made of its energies as the workflow makes them."""
    models, folds = energy_models(energy, NETWORKS, 10, 1)
    columns = {
        "missing": tables.MISSING_COLUMNS,
        "idle": tables.IDLE_COLUMNS,
        "diagnostics": tables.DIAGNOSTIC_COLUMNS,
        "anchor_drift": tables.ANCHOR_DRIFT_COLUMNS,
    }
    tables.write_csv(folder / "energy.csv", tables.ordered(energy, tables.ENERGY_COLUMNS))
    for name, names in columns.items():
        table = others.get(name, tables.frame([], names))
        tables.write_csv(folder / f"{name}.csv", tables.ordered(table, names))
    tables.write_csv(folder / "models/energy_models.csv", models)
    tables.write_csv(folder / "models/ranking.csv", ranking(energy, NETWORKS))
    slopes = complexity_models(models, complexity(), TABLE1)
    tables.write_csv(folder / "models/complexity_models.csv", slopes)
    beside = paper_comparison(energy, models, folds, slopes, counted(), published())
    tables.write_csv(folder / "models/paper_comparison.csv", beside)
    predictors = correlate_predictors(models, counted())
    tables.write_csv(folder / "models/predictor_correlations.csv", predictors)
    (folder / "slope_over_mac.svg").write_text("<svg/>")


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
    missing = {
        "setup": "table2",
        "network": "mbt2018",
        "quality": 3,
        "image": "gone",
        "failed_attempts": 2,
        "last_error": "MeterError: GPU is lost",
    }
    put(tmp_path, energy, missing=pd.DataFrame([missing]))
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
    assert not re.search(r"(href|src|action)=.?(https?:)?//", page)
    assert "onclick" not in page and " style=" not in page
    assert "published_kmac_per_pixel" in page


def test_names_from_outside_are_escaped(folder: Path) -> None:
    calibration = {"gain": 0.95, "gain_u": 0.01, "offset_w": 0, "reference": "<i>meter</i>"}
    energy = tables.read_csv(folder / "energy.csv").assign(calibrated=True)
    tables.write_csv(folder / "energy.csv", energy)
    write_page(folder, folder / "report.html", [], calibration)
    page = (folder / "report.html").read_text()
    assert "&lt;b&gt;GPU&lt;/b&gt;" in page
    assert "<b>GPU" not in page
    assert "&lt;i&gt;meter&lt;/i&gt;" in page


PAYLOAD = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"


def page_of(results: Results, figures: list[Path]) -> str:
    """The page of these tables and figures."""
    return render(context_of(results, figures))


class Tags(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {str(value) for name, value in attrs if name in ("href", "src")}


def scripts(page: str) -> tuple[int, int]:
    """How many script elements begin and end."""
    return page.lower().count("<script"), page.lower().count("</script")


def tags(page: str) -> Tags:
    found = Tags()
    found.feed(page)
    return found


def test_no_name_becomes_markup_wherever_it_stands(folder: Path) -> None:
    """Image, network, flag, device, error: in every column of text of every table."""
    before = page_of(Results.read(folder), [folder / "slope_over_mac.svg"])
    known = tags(before)
    fixed = {"source", "level", "estimator", "quantity", "predictor", "relation"}
    shown = 0
    for _, columns in TABLES.values():
        for column in sorted({*columns, "device_name"} - fixed):
            results = Results.read(folder)
            changed: dict[str, Any] = {
                name: table.assign(**{column: [f"{value}{PAYLOAD}" for value in table[column]]})
                for name, table in vars(results).items()
                if isinstance(table, pd.DataFrame)
                and column in table
                and pd.api.types.is_string_dtype(table[column].dtype)
            }
            page = page_of(replace(results, **changed), [folder / "slope_over_mac.svg"])
            found = tags(page)
            shown += "&lt;script&gt;" in page
            assert scripts(page) == scripts(before), column
            assert found.elements <= known.elements, column
            assert found.attributes <= known.attributes, column
            assert found.links <= known.links, column
    assert shown > 10, "names do come to the page"


def test_the_name_of_a_figure_is_no_markup_either(folder: Path) -> None:
    path = folder / "energy_over_pixels_<script>.svg"
    path.write_text("<svg onload='alert(1)'/>")
    page = page_of(Results.read(folder), [path])
    assert "&lt;script&gt;" in page
    assert scripts(page) == scripts(page_of(Results.read(folder), []))
    assert "onload" not in page, "a figure is an image, in which no script runs"


def test_alpha_and_beta_are_shown_with_their_expanded_uncertainty(folder: Path) -> None:
    shown = with_intervals(Results.read(folder).models)
    row = shown[(shown["network"] == "cheng2020-attn") & (shown["level"] == "high")].iloc[0]
    value, half = (float(part) for part in row["alpha"].split(" ± "))
    assert value == pytest.approx(row["alpha_j_per_pixel"] * 1e6, rel=0.01)
    assert half == pytest.approx(row["alpha_expanded_j_per_pixel"] * 1e6, rel=0.05)
    assert row["alpha_dominating"] == "images only"
    assert row["alpha"] in page_of(Results.read(folder), [])


def test_an_external_table_has_fewer_columns(tmp_path: Path) -> None:
    rows = energies(4, noise=0.02).assign(width=lambda e: e["pixels"] // 500, height=500)
    brought = rows[["network", "quality", "image", "width", "height", "energy_j"]]
    tables.write_csv(tmp_path / "brought.csv", brought)
    found = from_table(tmp_path / "brought.csv", NETWORKS, "mine", counted())
    put(tmp_path, found.energy, idle=found.idle, diagnostics=found.diagnostics)
    page = page_of(Results.read(tmp_path), [])
    assert "external (a table that was brought along)" in page
    assert "the idle power subtracted is not stated" in page
    assert "Which idle power was subtracted is not stated." in page
    assert "These energies carry no uncertainty budget." in page
    assert "calibrated against an external meter is not stated" in page
    assert "images only" in page and "By slope α, low quality levels:" in page
    assert "<h2>Missing" not in page and "<h2>Flags" not in page
    assert "What the windows" not in page and "median expanded" not in page


def test_a_simulated_campaign_fills_every_section(tmp_path: Path) -> None:
    config = resolve(
        {
            "setup": "virtual",
            "device": "virtual",
            "meter": "virtual",
            "weights": "random",
            "networks": [{"name": "mbt2018", "qualities": [1, 8]}],
        }
    )
    images = {}
    for width in (320, 640, 960):
        images[f"w{width}"] = tmp_path / f"{width}.png"
        images[f"w{width}"].write_bytes(png(width, 320))
    traces = simulate_campaign(config, images, tmp_path)
    built = build_energy(
        traces, tmp_path / "reference/idle.parquet", config.settings(), Analysis("trapezoid")
    )
    put(tmp_path, built.energy, idle=built.idle, diagnostics=built.diagnostics)
    results = Results.read(tmp_path)
    save(uncertainty_budget.plot(results.energy), tmp_path / "uncertainty_budget")
    save(idle_drift.plot(results.energy, results.idle), tmp_path / "idle_drift")
    names = ("slope_over_mac", "uncertainty_budget", "idle_drift")
    page = page_of(results, [tmp_path / f"{name}.svg" for name in names])
    headings = ["over pixels", "Ranking", "over complexity", "Uncertainty", "Idle power"]
    places = [page.index(f"{heading}</h2>") for heading in headings]
    assert places == sorted(places)
    assert "repeatability (%)" in page
    assert "Successive windows are" in page and "integrated power" in page
    assert "The cold idle was subtracted" in page and "after the windows" in page
    assert "They are not calibrated against an external meter." in page
    for caption, heading in (("by what causes them", 3), ("the time of the campaign", 4)):
        assert page.index(f"{caption}.</figcaption>") > places[heading]


def test_one_modality_is_a_page_too(folder: Path) -> None:
    put(folder, tables.read_csv(folder / "energy.csv").head(1))
    page = page_of(Results.read(folder), [])
    assert "<p>1 modality; 1 did not reach" in page
    assert "Bfac not ranked (no line, or no image in common)" in page

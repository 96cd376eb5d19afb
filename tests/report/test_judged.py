from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.worlds import TRUTHS, world
from nic_energy import tables
from nic_energy.files import write_json
from nic_energy.models.comparison import predictor_comparison
from nic_energy.models.joint import joint_model
from nic_energy.models.residuals import residuals
from nic_energy.models.validation import Plan, validation
from nic_energy.report.judged import Judged, predictor_sentences
from tests.models.sizes import rows, spread_sizes
from tests.models.table2 import NETWORKS


def put(folder: Path, networks: int = 6) -> None:
    """The tables behind the section; one image of the line's is far off."""
    residual = [0.01 * (-1) ** n for n in range(20)]
    residual[-1] = 0.8
    energy = rows([*spread_sizes(19), (751, 500)], residual=residual)
    plan = Plan(repeats=2, resamples=200)
    document, candidates = joint_model(world(TRUTHS["mac"], networks, between=0.1))
    for name, table in (
        ("validation", validation(energy, NETWORKS, plan)),
        ("residuals", residuals(energy, NETWORKS)),
        ("predictor_comparison", predictor_comparison(energy, NETWORKS, plan)),
        ("joint_model", candidates),
    ):
        tables.write_csv(folder / "models" / f"{name}.csv", table)
    write_json(folder / "models" / "joint_model.json", document)


def section(folder: Path) -> dict[str, Any]:
    judged = Judged.read(folder)
    assert judged is not None
    return judged.for_page()


def test_errors_stand_by_split_and_influential_images_are_named(tmp_path: Path) -> None:
    put(tmp_path)
    found = section(tmp_path)
    (row,) = found["errors"]["rows"]
    assert row[:2] == ["bmshj2018-hyperprior", "low"]
    assert row[2].count(" to ") == row[3].count(" to ") == 1
    assert row[-1] == "image019"


def test_the_joint_model_is_said_with_its_error_and_its_rivals(tmp_path: Path) -> None:
    put(tmp_path)
    found = section(tmp_path)
    text = " ".join(found["joint"])
    assert text.startswith("E = S · (") and "of 12 lines lie in the 95 % interval" in text
    names = [row[0] for row in found["candidates"]["rows"]]
    assert "mac (chosen)" in names
    assert names[-3:] == [
        "terms chosen anew each time",
        "mean of the others' lines",
        "paper's line over MAC",
    ]


def test_too_few_networks_are_said(tmp_path: Path) -> None:
    put(tmp_path, networks=2)
    found = section(tmp_path)
    assert found["joint"] == [
        "There is no joint model: 2 network(s); leaving one out needs at least 3."
    ]
    assert found["candidates"] is None


def test_results_without_these_tables_have_no_section(tmp_path: Path) -> None:
    put(tmp_path)
    (tmp_path / "models" / "residuals.csv").unlink()
    assert Judged.read(tmp_path) is None


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-2.0, -1.0, "predict better than the pixels by 1.50 points"),
        (1.0, 2.0, "predict worse than the pixels by 1.50 points"),
        (-1.0, 4.0, "neither better nor worse than the pixels, as far as this can tell (+1.50"),
    ],
)
def test_a_predictor_is_better_only_beyond_its_interval(
    low: float, high: float, words: str
) -> None:
    row = {
        "network": "all",
        "split": "by_image",
        "predictor": "padded_pixels",
        "difference_percent": -1.5 if high < 0 else 1.5,
        "low_percent": low,
        "high_percent": high,
    }
    (sentence,) = predictor_sentences(pd.DataFrame([row]))
    assert sentence.startswith("On images that were left out, the padded pixels")
    assert words in sentence

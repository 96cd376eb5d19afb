"""Energies that are little but noise, as of tiny work on a busy machine, end in tables that say so.

Every table and figure is made of them: nothing may stop for a slope near zero, for an energy below
idle, for equal sizes or for uncertainties beyond the values themselves.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.analysis import COMPARISON, MODELS, SLOPES, VALIDATION, derive_models
from nic_energy.comparison import compare
from nic_energy.config import resolve
from nic_energy.figures import (
    energy_over_pixels,
    joint_model,
    normalised_slopes,
    residuals,
    save,
    slope_over_mac,
    uncertainty_budget,
)
from nic_energy.files import write_json
from nic_energy.models import joint
from nic_energy.typeset import write_table
from nic_energy.typeset.paper import paper_tables
from tests.models.table2 import NETWORKS, ROOT, published

COMPLEXITY = ROOT / "tests" / "data" / "complexity.csv"
CONFIG = resolve({"setup": "noise", "bootstrap_resamples": 100, "cross_validation_repeats": 2})
UNCERTAINTIES = [name for name in tables.ENERGY_COLUMNS if name.startswith("u_")]


def noise(rng: np.random.Generator, setup: str = "noise") -> pd.DataFrame:
    """Lines and noise of any size, some of them nought; some uncertainties, of any size."""
    names = rng.choice(list(NETWORKS), size=rng.integers(1, 7), replace=False)
    widths = rng.integers(60, 2049, rng.integers(2, 7))
    if rng.integers(8) == 0:
        widths[:] = widths[0]
    rows = []
    for name in names:
        for level in ("low", "high"):
            alpha = 10.0 ** rng.uniform(-9, -4) * rng.integers(2)
            beta = rng.standard_normal() * 10.0 ** rng.uniform(-6, 1)
            scatter = 10.0 ** rng.uniform(-9, 2)
            rows += [
                {
                    "setup": setup, "source": "estimated", "part": "chain",
                    "estimator": "trapezoid", "network": str(name), "level": level,
                    "quality": quality, "image": f"image{number}", "width": width,
                    "height": width * 2 // 3, "pixels": width * (width * 2 // 3),
                    "padded_pixels": (width // 64 + 1) * (width * 2 // 3 // 64 + 1) * 64**2,
                    "energy_j": alpha * width * (width * 2 // 3) + beta
                    + scatter * rng.standard_normal(),
                    "idle_kind": "cold", "idle_degrees_of_freedom": 3, "weights": "random",
                    "deterministic": True, "device_name": "a processor",
                }
                for quality in getattr(NETWORKS[str(name)], level)
                for number, width in enumerate(widths.tolist())
            ]  # fmt: skip
    table = pd.DataFrame(rows)
    if rng.integers(3) == 0:
        table["energy_j"] = table["energy_j"].abs()
    for column in UNCERTAINTIES:
        size = np.abs(rng.standard_normal(len(table))) * 10.0 ** rng.uniform(-9, 3)
        table[column] = np.nan if rng.integers(4) == 0 else size
    return tables.ordered(table, tables.ENERGY_COLUMNS)


def analysed(energy: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """energy.csv as it is read again, and joint_model.json; all tables and figures lie there."""
    tables.write_csv(folder / "energy.csv", energy)
    derive_models(CONFIG, COMPLEXITY, folder)
    read = tables.read_csv(folder / "energy.csv", tables.ENERGY_COLUMNS)
    complexity = tables.read_csv(COMPLEXITY, tables.COMPLEXITY_COLUMNS)
    document, _ = joint.joint_model(joint.training_rows(read, complexity, CONFIG.networks))
    write_json(folder / "models" / "joint_model.json", document)
    models = tables.read_csv(folder / MODELS, tables.ENERGY_MODEL_COLUMNS)
    slopes = tables.read_csv(folder / SLOPES, tables.COMPLEXITY_MODEL_COLUMNS)
    beside = tables.read_csv(folder / COMPARISON, tables.COMPARISON_COLUMNS)
    far = tables.read_csv(folder / VALIDATION[2], tables.RESIDUAL_COLUMNS)
    predictors = tables.read_csv(
        folder / "models" / "predictor_correlations.csv", tables.PREDICTOR_COLUMNS
    )
    for table in paper_tables(beside, predictors, complexity):
        write_table(table, folder / "tables")
    for name, figure in {
        "budget": uncertainty_budget.plot(read),
        "residuals": residuals.plot(far, read["source"]),
        "joint": joint_model.plot(document),
        "slope": slope_over_mac.plot(models, slopes, complexity, published().points()),
        "line": energy_over_pixels.plot(
            read, models, str(read["network"].iloc[0]), published().table2
        ),
    }.items():
        save(figure, folder / "figures" / name)
    return read, document


@pytest.mark.parametrize("seed", range(12))
def test_noise_ends_in_tables_and_figures(seed: int, tmp_path: Path) -> None:
    energy, document = analysed(noise(np.random.default_rng(seed)), tmp_path)
    models = tables.read_csv(tmp_path / MODELS, tables.ENERGY_MODEL_COLUMNS)
    groups = energy.groupby(["network", "level"])
    assert len(models) == len(groups)
    for row in models.to_dict("records"):
        joules = groups.get_group((row["network"], row["level"]))["energy_j"]
        error = row["mean_relative_error_percent"]
        if (joules > 0).all():
            assert pd.isna(error) or error >= 0
        else:
            assert pd.isna(error), "relative to an energy that is not positive"
            assert "not positive" in row["note"] or "not fitted" in row["note"]
    for path in (tmp_path / MODELS, *(tmp_path / name for name in VALIDATION)):
        assert "inf" not in path.read_text().replace("influential", "")
    assert document["fitted"] or document["reason"]
    assert not (document["fitted"] and (energy["energy_j"] <= 0).any())
    assert len(list((tmp_path / "figures").glob("*.svg"))) == 5


@pytest.mark.parametrize("seed", range(4))
def test_setups_of_noise_are_compared(seed: int, tmp_path: Path) -> None:
    for label in ("one", "two"):
        analysed(noise(np.random.default_rng(seed), label), tmp_path / label)
        (tmp_path / label / "config.json").write_text(json.dumps({"setup": label}))
    found = compare([tmp_path / "one", tmp_path / "two"])
    save(normalised_slopes.plot(found.slopes, found.portability), tmp_path / "slopes")
    for name in ("ratio_low", "ratio_high"):
        assert not np.isinf(pd.to_numeric(found.slopes[name])).any()

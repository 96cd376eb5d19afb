import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.models.comparison import predictor_comparison, regression_comparison
from nic_energy.models.regression import METHODS, own_uncertainties, weighted_line
from nic_energy.models.sizes import PREDICTORS, Rows, size_effect_table, size_effects
from nic_energy.models.splits import BY_IMAGE, BY_SIZE
from nic_energy.models.validation import Plan
from tests.models.sizes import ALPHA, BETA, HYPERPRIOR, rows, spread_sizes
from tests.models.table2 import NETWORKS

PLAN = Plan(folds=10, seed=3)


def regressions(table: pd.DataFrame) -> pd.DataFrame:
    return regression_comparison(table, NETWORKS, PLAN).set_index("method")


def test_every_method_finds_an_exact_line() -> None:
    table = rows(spread_sizes(30)).assign(u_repeatability_j=0.1)
    found = regression_comparison(table, NETWORKS, PLAN)
    assert list(found.columns) == list(tables.REGRESSION_COLUMNS)
    assert found["method"].tolist() == list(METHODS)
    assert np.allclose(found["alpha_j_per_pixel"].astype(float), ALPHA, rtol=1e-8, atol=0)
    assert np.allclose(found["beta_j"].astype(float), BETA, rtol=1e-7, atol=0)
    errors = [name for name in found.columns if name.startswith(("error_", "bias_"))]
    assert len(errors) == 4
    assert (found[errors].astype(float).abs() < 1e-6).all().all()


def test_hubers_line_is_not_drawn_to_a_few_wrong_energies() -> None:
    residual = np.random.default_rng(1).normal(0, 0.02, 40)
    residual[:3] = 1.0
    found = regressions(rows(spread_sizes(40), residual=residual))
    off = (found["alpha_j_per_pixel"].astype(float) / ALPHA - 1).abs()
    assert off["huber"] < 0.02 < off["least_squares"]
    exact = np.zeros(40)
    exact[5] = 3.0
    alone = regressions(rows(spread_sizes(40), residual=exact))
    assert alone["alpha_j_per_pixel"]["huber"] == pytest.approx(ALPHA, rel=1e-4)


def test_the_weighted_line_trusts_an_energy_as_far_as_it_is_certain() -> None:
    residual = np.zeros(30)
    residual[:6] = 0.5
    table = rows(spread_sizes(30), residual=residual)
    u = np.where(table["image"] < "image006", 50.0, 0.05)
    found = regressions(table.assign(u_repeatability_j=u))
    assert found["alpha_j_per_pixel"]["weighted"] == pytest.approx(ALPHA, rel=1e-4)
    assert abs(found["alpha_j_per_pixel"]["least_squares"] / ALPHA - 1) > 0.01
    bare = regressions(table)
    assert bare["note"]["weighted"] == "not fitted: the energies carry no uncertainties"


def test_an_energys_own_uncertainty_leaves_out_what_all_share() -> None:
    table = rows(spread_sizes(4), qualities=1).assign(
        u_repeatability_j=[0.3, 0.3, math.nan, 0.3],
        u_edges_j=[0.4, 0.4, math.nan, 0.4],
        u_idle_j=9.0,
        u_gain_j=9.0,
        idle_kind="cold",
    )
    assert own_uncertainties(table) == pytest.approx([0.5] * 4)
    paired = own_uncertainties(table.assign(u_idle_j=1.2, idle_kind="paired"))
    assert paired == pytest.approx([1.3, 1.3, 1.2, 1.3])
    assert own_uncertainties(rows(spread_sizes(4))) is None


def test_the_relative_line_minimises_relative_errors_and_is_low_by_their_square() -> None:
    rng = np.random.default_rng(2)
    table = rows(spread_sizes(400), residual=rng.normal(0, 0.15, 400), qualities=1)
    x, y = (table[name].to_numpy(dtype=float) for name in ("pixels", "energy_j"))
    lines = {name: METHODS[name](x, y, None) for name in ("least_squares", "relative")}

    def squares(name: str) -> float:
        line = lines[name]
        assert line is not None
        return float(np.sum(((line.predict(x) - y) / y) ** 2))

    assert squares("relative") < squares("least_squares")
    found = regressions(table)
    low = found["bias_by_image_percent"].astype(float)
    assert low["relative"] < low["least_squares"] - 1.5


def test_a_weighted_line_needs_three_points_of_different_size() -> None:
    x = np.array([1.0, 2.0])
    assert weighted_line(x, x, x) is None
    assert weighted_line(np.ones(5), np.arange(5.0), np.ones(5)) is None
    assert METHODS["relative"](np.arange(5.0), np.array([1.0, 2, 0, 3, 4]), None) is None


def compared(table: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, Any]]:
    """By network, split and predictor."""
    found = predictor_comparison(table, NETWORKS, PLAN)
    assert list(found.columns) == list(tables.PREDICTOR_COMPARISON_COLUMNS)
    keys = ("network", "split", "predictor")
    return {tuple(row[key] for key in keys): row for row in found.to_dict("records")}  # type: ignore[misc]


@pytest.mark.parametrize("padded", [True, False])
def test_the_pixels_that_energy_follows_predict_better(padded: bool) -> None:
    residual = np.random.default_rng(1).normal(0, 0.01, 40)
    found = compared(rows(spread_sizes(40), residual=residual, padded=padded))
    for network in (HYPERPRIOR.network, "all"):
        for split in (BY_IMAGE, BY_SIZE):
            row = found[network, split, "padded_pixels"]
            sign = -1 if padded else 1
            assert sign * row["difference_percent"] > 1
            assert row["low_percent"] * row["high_percent"] > 0
            assert row["difference_percent"] == pytest.approx(
                row["error_percent"] - row["pixels_error_percent"]
            )
    both = found[HYPERPRIOR.network, BY_IMAGE, "pixels_and_padding"]
    padded_only = found[HYPERPRIOR.network, BY_IMAGE, "padded_pixels"]
    best = min(both["pixels_error_percent"], padded_only["error_percent"])
    assert both["error_percent"] < 1.15 * best


def test_padding_gives_no_energy_back() -> None:
    """Where it would, the term is 0, and the model that of the pixels alone."""
    table = rows(spread_sizes(40), qualities=1)
    cheaper = table.assign(
        energy_j=table["energy_j"] - 0.5 * ALPHA * (table["padded_pixels"] - table["pixels"])
    )
    row = compared(cheaper)[HYPERPRIOR.network, BY_IMAGE, "pixels_and_padding"]
    assert row["difference_percent"] == row["low_percent"] == row["high_percent"] == 0
    dearer = table.assign(
        energy_j=table["energy_j"] + 0.5 * ALPHA * (table["padded_pixels"] - table["pixels"])
    )
    of = Rows.of(dearer, HYPERPRIOR)
    predict = PREDICTORS["pixels_and_padding"](of)(np.arange(30))
    assert predict is not None
    assert predict(np.arange(30, 40)) == pytest.approx(of.joules[30:], rel=1e-6)


PADDED = [(768, 512), (1024, 640), (1280, 896), (1408, 1024), (1664, 1152), (1920, 1280)]
SIZES = [(w - 8 * n, h - 5 * n) for w, h in [*PADDED, (2048, 1408)] for n in range(5)]


def test_variances_between_and_within_sizes_are_found() -> None:
    rng, found = np.random.default_rng(3), []
    size_of = np.repeat(np.arange(7), 5)
    for _ in range(200):
        residual = 0.06 * rng.standard_normal(7)[size_of] + 0.03 * rng.standard_normal(35)
        of = Rows.of(rows(SIZES, residual=residual, qualities=2), HYPERPRIOR)
        effects = size_effects(of.pixels, of.joules, of.image, of.padded_size)
        assert effects is not None and len(effects.sizes) == 7
        found.append((effects.between**2, effects.within**2, effects.p_value < 0.05))
    between, within, rejected = np.mean(found, axis=0)
    assert between**0.5 == pytest.approx(0.06, rel=0.1)
    assert within**0.5 == pytest.approx(0.03, rel=0.05)
    assert rejected > 0.9


def test_where_sizes_do_nothing_the_test_says_so_as_often_as_it_should() -> None:
    rng, rejected, trials = np.random.default_rng(4), 0, 300
    for _ in range(trials):
        of = Rows.of(rows(SIZES, residual=0.05 * rng.standard_normal(35)), HYPERPRIOR)
        effects = size_effects(of.pixels, of.joules, of.image, of.padded_size)
        assert effects is not None
        rejected += effects.p_value < 0.05
    assert 0.02 < rejected / trials < 0.09, rejected / trials


def test_a_size_effect_helps_on_further_images_of_the_size_only() -> None:
    rng, size_of = np.random.default_rng(5), np.repeat(np.arange(7), 5)
    residual = 0.1 * rng.standard_normal(7)[size_of] + 0.01 * rng.standard_normal(35)
    table = rows(SIZES, residual=residual)
    found = compared(table)
    row = found[HYPERPRIOR.network, BY_IMAGE, "pixels_and_size"]
    assert row["error_percent"] < 0.5 * row["pixels_error_percent"]
    assert row["high_percent"] < 0
    assert (HYPERPRIOR.network, BY_SIZE, "pixels_and_size") not in found
    effects = size_effect_table(table, NETWORKS)
    assert list(effects.columns) == list(tables.SIZE_EFFECT_COLUMNS)
    assert (effects["size_effect_percent"].abs()
            <= effects["mean_relative_residual_percent"].abs()).all()  # fmt: skip
    assert effects["padded_size"].tolist()[0] == "768x512"


def test_without_two_images_of_a_size_there_is_no_effect_to_tell() -> None:
    of = Rows.of(rows([size for n, size in enumerate(SIZES) if n % 5 == 0]), HYPERPRIOR)
    assert size_effects(of.pixels, of.joules, of.image, of.padded_size) is None
    assert size_effect_table(rows([(768, 512)] * 4), NETWORKS).empty


def test_what_cannot_be_fitted_is_said() -> None:
    table = rows([(768, 512)] * 6)
    assert set(regressions(table)["note"].drop("weighted")) == {"not fitted: no line"}
    found = predictor_comparison(table, NETWORKS, PLAN)
    assert set(found["note"]) == {"not compared: a training set allows no model"}

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import stats

from nic_energy import tables
from nic_energy.models.jackknife import jackknife, least_squares_weights
from nic_energy.models.linear import energy_models, fit_line
from nic_energy.models.uncertainty import (
    Common,
    difference,
    line_quantities,
    line_uncertainty,
    uncertainty_columns,
)
from tests.models.table2 import NETWORKS, energies

FloatArray = npt.NDArray[np.float64]

ALPHA, BETA = 1.15e-5, 1.61
GAIN_U, IDLE_U_W, POWER_W = 0.01, 1.5, 120.0


def pixels_of(images: int, qualities: int, rng: np.random.Generator) -> FloatArray:
    width = rng.integers(751, 2049, images)
    return np.repeat((width * (width * 2 // 3)).astype(float), qualities)


def group(images: int = 20, qualities: int = 4, seed: int = 1, noise: float = 0.07) -> pd.DataFrame:
    """Rows of one network and level, whose images have a relative error of their own."""
    rng = np.random.default_rng(seed)
    pixels = pixels_of(images, qualities, rng)
    image = np.repeat(np.arange(images), qualities)
    energy = (ALPHA * pixels + BETA) * (1 + noise * rng.standard_normal(images)[image])
    return pd.DataFrame(
        {
            "setup": "s",
            "source": "simulated",
            "part": "chain",
            "estimator": "trapezoid",
            "network": "bmshj2018-hyperprior",
            "level": "low",
            "quality": np.tile(np.arange(1, qualities + 1), images),
            "image": [f"image{number:02}" for number in image],
            "pixels": pixels,
            "energy_j": energy,
            "duration_s": energy / POWER_W,
        }
    )


def with_budget(table: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    found = {
        "u_repeatability_j": 0.01 * table["energy_j"],
        "u_idle_j": IDLE_U_W * table["duration_s"],
        "u_edges_j": 0.02,
        "u_temperature_j": None,
        "u_gain_j": GAIN_U * table["energy_j"],
        "idle_kind": "cold",
    }
    return table.assign(**{**found, **changes})


@pytest.mark.parametrize("images", [12, 20, 60])
@pytest.mark.parametrize("shared", [True, False])
def test_95_percent_intervals_hold_the_truth_as_often_as_they_say(
    images: int, shared: bool
) -> None:
    """Residuals of 7 % of the energy, shared by the qualities of an image or not; inputs common
    to all rows go wrong by their own uncertainties."""
    rng = np.random.default_rng(images)
    qualities, designs, trials = 3, 30, 50
    image = np.repeat(np.arange(images), qualities)
    held = np.zeros(2)
    for _ in range(designs):
        pixels = pixels_of(images, qualities, rng)
        resampled, weights = jackknife(pixels, image), least_squares_weights(pixels)
        assert resampled is not None and weights is not None
        for _ in range(trials):
            residual = (
                rng.standard_normal(images)[image] if shared else rng.standard_normal(len(pixels))
            )
            energy = (ALPHA * pixels + BETA) * (1 + 0.07 * residual)
            duration = energy / POWER_W
            measured = energy * (1 + GAIN_U * rng.standard_normal())
            measured -= duration * IDLE_U_W * rng.standard_normal()
            inputs = {
                "idle": Common(weights @ (-IDLE_U_W * duration), math.inf),
                "gain": Common(weights @ (GAIN_U * measured), math.inf),
            }
            alpha, beta, _ = line_quantities(resampled, weights, measured, inputs)
            for p, (quantity, truth) in enumerate(((alpha, ALPHA), (beta, BETA))):
                budget = quantity.budget()
                assert budget is not None
                held[p] += abs(quantity.value - truth) < budget.expanded_uncertainty(0.95)
    share = held / (designs * trials)
    assert (share > 0.93).all() and (share < 0.98).all(), share


def test_errors_common_to_all_rows_are_covered_from_the_table_on() -> None:
    """The idle power and the gain dominate here: without them about half would be covered."""
    rng = np.random.default_rng(4)
    table, idle_u, gain_u, held = group(noise=0.0), 8.0, 0.05, np.zeros(2)
    truth, trials = (ALPHA, BETA), 300
    for _ in range(trials):
        energy = table["energy_j"] * (1 + 0.02 * rng.standard_normal(len(table)))
        measured = energy * (1 + gain_u * rng.standard_normal())
        measured = measured - idle_u * rng.standard_normal() * table["duration_s"]
        found = uncertainty_columns(
            table.assign(
                energy_j=measured,
                u_idle_j=idle_u * table["duration_s"],
                u_gain_j=gain_u * measured,
            )
        )
        line = fit_line(table["pixels"].to_numpy(), measured.to_numpy())
        assert line is not None
        held += [
            abs(line.slope - truth[0]) < found["alpha_expanded_j_per_pixel"],
            abs(line.intercept - truth[1]) < found["beta_expanded_j"],
        ]
    assert ((held / trials) > 0.92).all() and ((held / trials) < 0.985).all(), held / trials


def test_the_jackknife_leaves_out_an_image_with_all_its_qualities() -> None:
    table = group(images=7)
    pixels, energy = table["pixels"].to_numpy(), table["energy_j"].to_numpy()
    found = jackknife(pixels, table["image"].to_numpy())
    assert found is not None
    whole = fit_line(pixels, energy)
    assert whole is not None
    for number, name in enumerate(found.images):
        rest = table[table["image"] != name]
        line = fit_line(rest["pixels"].to_numpy(), rest["energy_j"].to_numpy())
        assert line is not None
        wanted = np.array([line.slope - whole.slope, line.intercept - whole.intercept])
        assert np.allclose(
            found.deviations(energy)[number], wanted * math.sqrt(6 / 7), rtol=1e-6, atol=0
        )


def test_scales_and_degrees_of_freedom_are_those_of_the_whole_matrices() -> None:
    table = group(images=9).iloc[:-2]  # not every image has every quality
    pixels, images = table["pixels"].to_numpy(float), table["image"].to_numpy()
    found, weights = jackknife(pixels, images), least_squares_weights(pixels)
    assert found is not None and weights is not None
    residuals = [np.sqrt(pixels) * (images == name) for name in found.images]
    modelled = np.stack([found.deviations(each) for each in residuals], axis=-1)  # (G, 2, G)
    model = weights @ np.array(residuals).T
    contrasts = np.array([[1.0, 0.0], [0.0, 1.0], [1e6, 1.0]])
    expected = np.einsum("gph,gqh->pq", modelled, modelled)
    wanted = np.einsum("mp,pq,mq->m", contrasts, model @ model.T, contrasts)
    wanted /= np.einsum("mp,pq,mq->m", contrasts, expected, contrasts)
    assert np.allclose(found.scale(contrasts), wanted, rtol=1e-9, atol=0)
    for p, freedom in enumerate(found.degrees_of_freedom):
        product = modelled[:, p] @ modelled[:, p].T
        satterthwaite = np.trace(product) ** 2 / np.sum(product**2)
        assert freedom == pytest.approx(min(satterthwaite, 7), rel=1e-9)


def test_no_jackknife_where_one_image_alone_has_another_size() -> None:
    pixels = np.array([1e6, 1e6, 1e6, 1e6, 2e6, 2e6])
    assert jackknife(pixels, np.array(["a", "b", "c", "d", "e", "e"])) is None
    assert jackknife(pixels, np.array(["a", "b", "c", "d", "e", "f"])) is not None
    assert jackknife(np.full(4, 1e6), np.array(["a", "b", "c", "d"])) is None


def test_a_line_through_many_images_takes_little_memory() -> None:
    """Of 20,000 images a matrix with a row and a column each would take 3 GB."""
    pixels = np.linspace(1e5, 1e7, 20_000)
    found = jackknife(pixels, np.arange(len(pixels)))
    assert found is not None
    assert all(1_000 < freedom <= 19_998 for freedom in found.degrees_of_freedom)
    assert np.allclose(found.parameter_scales, 1.0, rtol=0.01)


def test_more_qualities_of_the_same_images_make_alpha_no_better_known() -> None:
    """Copies of a row must not count as further images."""
    table = group(qualities=1)
    copies = pd.concat([table.assign(quality=quality) for quality in range(1, 6)])
    once, often = uncertainty_columns(table), uncertainty_columns(copies)
    assert often["alpha_u_j_per_pixel"] == pytest.approx(once["alpha_u_j_per_pixel"])
    assert often["alpha_expanded_j_per_pixel"] == pytest.approx(once["alpha_expanded_j_per_pixel"])


def test_the_idle_power_and_the_gain_shift_the_line_as_their_sensitivities_say() -> None:
    table = with_budget(group())
    found = uncertainty_columns(table)
    pixels = table["pixels"].to_numpy()
    duration = fit_line(pixels, table["duration_s"].to_numpy())
    line = fit_line(pixels, table["energy_j"].to_numpy())
    assert duration is not None and line is not None
    assert found["alpha_shift_idle_j_per_pixel"] == pytest.approx(-IDLE_U_W * duration.slope)
    assert found["beta_shift_idle_j"] == pytest.approx(-IDLE_U_W * duration.intercept)
    assert found["alpha_shift_gain_j_per_pixel"] == pytest.approx(GAIN_U * line.slope)
    assert found["beta_shift_gain_j"] == pytest.approx(GAIN_U * line.intercept)
    alone = uncertainty_columns(group())["alpha_u_j_per_pixel"]
    together = math.hypot(alone, IDLE_U_W * duration.slope, GAIN_U * line.slope)
    assert found["alpha_u_j_per_pixel"] == pytest.approx(together)
    assert found["alpha_dominating"] == "images"


def test_a_trend_that_all_rows_share_is_no_scatter_and_cancels_between_networks() -> None:
    table = group()
    trending = table.assign(u_trend_j=0.02 * table["energy_j"])
    found, plain = uncertainty_columns(trending), uncertainty_columns(table)
    line = fit_line(table["pixels"].to_numpy(), table["energy_j"].to_numpy())
    assert line is not None
    assert found["alpha_shift_trend_j_per_pixel"] == pytest.approx(0.02 * line.slope)
    assert found["alpha_u_j_per_pixel"] == pytest.approx(
        math.hypot(plain["alpha_u_j_per_pixel"], 0.02 * line.slope)
    )
    # Independent from row to row, it would average out over the rows.
    assert found["alpha_u_measurement_j_per_pixel"] == pytest.approx(0.02 * line.slope)
    assert uncertainty_columns(table.assign(u_trend_j=0.0)) == plain
    one, two = line_uncertainty(trending), line_uncertainty(trending)
    assert one is not None and two is not None
    both = difference(one.alpha, two.alpha)
    assert both is not None
    assert both.combined_standard_uncertainty == pytest.approx(0.0, abs=1e-18)


def test_how_well_the_line_through_exactly_these_images_is_measured() -> None:
    table = with_budget(group(), u_idle_j=None, u_gain_j=None, u_repeatability_j=None)
    found = uncertainty_columns(table.assign(u_edges_j=0.03, u_temperature_j=0.04))
    pixels = table["pixels"].to_numpy()
    spread = np.sum((pixels - pixels.mean()) ** 2)
    assert found["alpha_u_measurement_j_per_pixel"] == pytest.approx(0.05 / math.sqrt(spread))
    assert found["beta_u_measurement_j"] == pytest.approx(
        0.05 * math.sqrt(1 / len(pixels) + pixels.mean() ** 2 / spread)
    )
    assert found["alpha_u_j_per_pixel"] > 3 * found["alpha_u_measurement_j_per_pixel"]
    common = uncertainty_columns(table.assign(u_edges_j=None, u_gain_j=0.01 * table["energy_j"]))
    assert common["alpha_u_measurement_j_per_pixel"] == pytest.approx(
        common["alpha_shift_gain_j_per_pixel"]
    )


def test_an_idle_power_of_its_own_after_each_modality_is_in_the_scatter() -> None:
    cold, paired = (
        uncertainty_columns(with_budget(group(), idle_kind=kind, u_idle_j=0.5))
        for kind in ("cold", "paired")
    )
    assert cold["beta_shift_idle_j"] == pytest.approx(-0.5)
    assert "beta_shift_idle_j" not in paired
    assert paired["beta_u_j"] < cold["beta_u_j"]
    without = uncertainty_columns(with_budget(group(), u_idle_j=None))
    assert paired["beta_u_j"] == pytest.approx(without["beta_u_j"])
    assert without["beta_u_measurement_j"] < paired["beta_u_measurement_j"]
    assert paired["beta_u_measurement_j"] < cold["beta_u_measurement_j"]


def test_only_rows_with_the_common_idle_reference_move_together() -> None:
    table = with_budget(group(), u_idle_j=0.5)
    own = table["quality"] > 2
    mixed = table.assign(idle_kind=np.where(own, "paired", "cold"))
    found = uncertainty_columns(mixed)
    line = fit_line(table["pixels"].to_numpy(), np.where(own, 0.0, -0.5))
    assert line is not None
    assert found["beta_shift_idle_j"] == pytest.approx(line.intercept)
    assert found["beta_shift_idle_j"] > uncertainty_columns(table)["beta_shift_idle_j"]


def test_a_short_idle_reference_widens_the_interval() -> None:
    table = with_budget(group(noise=0.001), u_gain_j=None, u_idle_j=0.5 * group()["duration_s"])
    many, few = (
        uncertainty_columns(table.assign(idle_degrees_of_freedom=freedom)) for freedom in (None, 3)
    )
    assert many["alpha_dominating"] == few["alpha_dominating"] == "idle"
    ratio = few["alpha_expanded_j_per_pixel"] / few["alpha_u_j_per_pixel"]
    assert ratio == pytest.approx(float(stats.t.ppf(0.975, 3)), rel=0.05)
    assert many["alpha_expanded_j_per_pixel"] / many["alpha_u_j_per_pixel"] == pytest.approx(
        1.96, rel=0.01
    )


def test_a_table_without_a_budget_knows_the_images_only() -> None:
    found = uncertainty_columns(group())
    assert found["alpha_dominating"] == found["beta_dominating"] == "images_only"
    assert not any("measurement" in name or "shift" in name for name in found)
    assert found["alpha_expanded_j_per_pixel"] > 2 * found["alpha_u_j_per_pixel"]
    empty = with_budget(group()).assign(
        **dict.fromkeys(["u_repeatability_j", "u_idle_j", "u_edges_j", "u_gain_j"], np.nan)
    )
    assert uncertainty_columns(empty) == found


def test_rows_that_do_not_know_their_uncertainty_take_that_of_the_others() -> None:
    table = with_budget(group())
    holes = table.copy()
    for name in ("u_repeatability_j", "u_idle_j", "u_gain_j"):
        holes.loc[::7, name] = np.nan
    whole, found = uncertainty_columns(table), uncertainty_columns(holes)
    assert found.keys() == whole.keys()
    for name, value in whole.items():
        if not isinstance(value, str):
            assert found[name] == pytest.approx(value, rel=0.15), name


def test_what_too_few_images_cannot_tell_stays_empty() -> None:
    assert uncertainty_columns(group().assign(pixels=1e6)) == {}
    two = with_budget(group(images=2))
    found = uncertainty_columns(two)
    assert "alpha_u_j_per_pixel" not in found and "alpha_dominating" not in found
    assert found["alpha_u_measurement_j_per_pixel"] > 0
    one_decides = group(images=6)
    one_decides["pixels"] = np.where(one_decides["image"] == "image00", 4e5, 2e6)
    line = line_uncertainty(one_decides)
    assert line is not None
    assert line.alpha.budget() is None and line.at(np.array([1e6])) is None
    assert uncertainty_columns(one_decides) == {}


def test_an_exact_line_is_exactly_known() -> None:
    found = uncertainty_columns(group(noise=0.0))
    assert found["alpha_u_j_per_pixel"] < 1e-9 * ALPHA
    assert found["beta_expanded_j"] < 1e-9


def test_the_line_is_better_known_among_its_points_than_alpha_and_beta_alone_say() -> None:
    table = with_budget(group(images=30))
    line = line_uncertainty(table)
    assert line is not None
    found, row = line.at(np.array([0.0, 1.2e6, 1e15])), uncertainty_columns(table)
    assert found is not None
    assert found[0] == pytest.approx(row["beta_u_j"])
    assert found[2] == pytest.approx(1e15 * row["alpha_u_j_per_pixel"], rel=1e-6)
    assert found[1] < math.hypot(1.2e6 * row["alpha_u_j_per_pixel"], row["beta_u_j"]) / 2


def test_the_band_of_the_line_is_as_wide_as_lines_scatter() -> None:
    rng = np.random.default_rng(2)
    at = np.array([4e5, 1e6, 2e6])
    lines, bands = [], []
    for _ in range(200):
        table = group(images=30, qualities=2, seed=int(rng.integers(1 << 30)))
        line = line_uncertainty(table)
        assert line is not None
        band = line.at(at)
        assert band is not None
        lines.append(line.alpha.value * at + line.beta.value)
        bands.append(band**2)
    ratio = np.sqrt(np.mean(bands, axis=0)) / np.std(lines, axis=0)
    assert ((ratio > 0.85) & (ratio < 1.15)).all(), ratio


def test_energy_models_carry_the_columns() -> None:
    table = with_budget(group())
    models = energy_models(table, NETWORKS, 10, 1)[0]
    row = models.iloc[0]
    for name, value in uncertainty_columns(table).items():
        assert row[name] == value
    assert row["note"] is None
    assert list(models.columns[: len(tables.ENERGY_MODEL_COLUMNS)]) == list(
        tables.ENERGY_MODEL_COLUMNS
    )
    plain = energy_models(energies(noise=0.05), NETWORKS, 10, 1)[0]
    assert set(plain["alpha_dominating"]) == {"images_only"}
    assert plain["alpha_u_measurement_j_per_pixel"].isna().all()
    unfitted = energy_models(table.assign(pixels=1e6), NETWORKS, 10, 1)[0]
    assert unfitted["note"].tolist() == ["not fitted: one image size only"]
    assert unfitted["alpha_u_j_per_pixel"].isna().all()

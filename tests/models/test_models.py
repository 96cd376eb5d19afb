import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.errors import MismatchError
from nic_energy.models.linear import cross_validate, energy_models, fit_line
from nic_energy.models.slopes import complexity_models
from tests.models.table2 import NETWORKS, TABLE1, TABLE2, complexity, energies


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    return energy_models(energies(), NETWORKS, 10, 2023)[0]


def test_energies_that_follow_table_2_give_its_alpha_and_beta_back(exact: pd.DataFrame) -> None:
    both = exact.merge(TABLE2, on=["network", "level"], suffixes=("", "_printed"))
    assert len(both) == 12
    assert np.allclose(
        both["alpha_j_per_pixel"], both["alpha_1e5_j_per_pixel"] * 1e-5, rtol=1e-9, atol=0
    )
    assert np.allclose(both["beta_j"], both["beta_j_printed"], rtol=1e-9, atol=0)
    assert (both["mean_relative_error_percent"] < 1e-9).all()
    assert np.allclose(both["pearson_r"].astype(float), 1)
    assert set(both["n"]) == {60 * n for n in (3, 4, 5)}
    assert list(exact.columns[: len(tables.ENERGY_MODEL_COLUMNS)]) == list(
        tables.ENERGY_MODEL_COLUMNS
    )


def test_the_published_predictors_give_the_papers_errors(exact: pd.DataFrame) -> None:
    found = complexity_models(exact, complexity(), TABLE1).set_index("predictor")
    assert list(found.index) == list(tables.PREDICTORS)
    error = found["mean_relative_error_percent"]
    assert round(error["published_kmac_per_pixel"], 2) == 7.65
    assert round(error["published_kmac_per_pixel_second_layer"], 2) == 11.16
    assert (found["n"] == 12).all()
    assert found["pearson_r"]["published_kmac_per_pixel"] > 0.98


def test_the_mean_relative_error_is_cross_validated() -> None:
    models, folds = energy_models(energies(noise=0.05), NETWORKS, 10, 2023)
    assert models["mean_relative_error_percent"].between(3.0, 5.5).all()
    assert list(folds.columns) == list(tables.FOLD_COLUMNS)
    for keys, group in folds.groupby(["network", "level"]):
        error = (group["predicted_energy_j"] - group["energy_j"]).abs() / group["energy_j"]
        row = models.set_index(["network", "level"]).loc[keys]  # type: ignore[index]
        assert 100 * error.mean() == pytest.approx(row["mean_relative_error_percent"])
        assert set(group["fold"]) == set(range(10))


def test_a_point_is_predicted_by_the_other_folds_only() -> None:
    x = np.arange(20.0)
    y = 2 * x + 1
    y[7] += 1000
    found = cross_validate(x, y, 10, 1)
    assert found is not None
    predicted, fold = found
    assert abs(predicted[7] - 15) < 1e-6
    alone = fit_line(x[fold != fold[3]], y[fold != fold[3]])
    assert alone is not None
    assert predicted[3] == pytest.approx(float(alone.predict(x[3:4])[0]))


def test_the_seed_decides_the_folds() -> None:
    few = energies(12, noise=0.02)
    first, second = (energy_models(few, NETWORKS, 10, seed)[1] for seed in (1, 2))
    assert first.equals(energy_models(few, NETWORKS, 10, 1)[1])
    assert not first["fold"].equals(second["fold"])


def test_too_few_points_keep_their_row_and_say_why() -> None:
    table = energies(1)
    table = table[table["network"] == "cheng2020-attn"]
    models, folds = energy_models(table, NETWORKS, 10, 1)
    assert models["note"].tolist() == ["not fitted: one image size only"] * 2
    assert models["alpha_j_per_pixel"].isna().all()
    assert folds.empty
    two = energy_models(table[table["quality"] < 3], NETWORKS, 10, 1)[0]
    assert two["note"].tolist() == ["not fitted: fewer than 3 points"]
    three = energies(3)
    three = three[(three["network"] == "mbt2018") & (three["quality"] == 1)]
    assert energy_models(three, NETWORKS, 10, 1)[0]["note"].tolist() == [
        "not validated: too few points a fold"
    ]


def test_what_has_different_sources_is_not_fitted_together() -> None:
    table = energies(5)
    table.loc[0, "source"] = "measured"
    with pytest.raises(MismatchError, match=r"different source .*: measured, simulated"):
        energy_models(table, NETWORKS, 10, 1)


def test_a_predictor_that_a_network_lacks_leaves_its_point_out(exact: pd.DataFrame) -> None:
    published = TABLE1[TABLE1["network"] != "mbt2018"]
    found = complexity_models(exact, complexity(), published).set_index("predictor")
    assert found["n"]["published_kmac_per_pixel"] == 10
    assert found["n"]["kmac_per_pixel"] == 12
    none = complexity_models(exact.head(2), complexity(), TABLE1)
    assert none["slope"].isna().all()
    negative = exact.assign(alpha_j_per_pixel=-exact["alpha_j_per_pixel"])
    flipped = complexity_models(negative, complexity(), TABLE1)
    assert flipped["mean_relative_error_percent"].isna().all()
    assert flipped["slope"].lt(0).all()


def test_without_an_uncertainty_of_alpha_the_slope_has_none(exact: pd.DataFrame) -> None:
    bare = exact.drop(columns=[name for name in exact.columns if "_u_" in name])
    found = complexity_models(bare, complexity(), TABLE1)
    assert found["slope"].notna().all() and found["slope_u"].isna().all()
    one_missing = exact.assign(alpha_u_j_per_pixel=np.array([np.nan] + [1e-7] * 11))
    assert complexity_models(one_missing, complexity(), TABLE1)["intercept_u"].isna().all()


def test_independent_errors_of_alpha_move_the_slope_as_often_as_it_says(
    exact: pd.DataFrame,
) -> None:
    u = 0.02 * exact["alpha_j_per_pixel"].to_numpy(dtype=float)
    found = complexity_models(exact.assign(alpha_u_j_per_pixel=u), complexity(), TABLE1)
    row = found.set_index("predictor").loc["published_kmac_per_pixel"]
    joined = exact.merge(TABLE1, on=["network", "level"])
    rng = np.random.default_rng(3)
    x = joined["kmac_per_pixel"].to_numpy(dtype=float)
    alphas = joined["alpha_j_per_pixel"].to_numpy(dtype=float)
    drawn = alphas[:, None] + u[:, None] * rng.standard_normal((len(u), 10_000))
    slope_u, intercept_u = np.polyfit(x, drawn, 1).std(axis=1)
    assert row["slope_u"] == pytest.approx(slope_u, rel=0.03)
    assert row["intercept_u"] == pytest.approx(intercept_u, rel=0.03)


def test_a_gain_common_to_all_networks_scales_the_slope(exact: pd.DataFrame) -> None:
    """It would average out over twelve points if it were taken as independent."""
    shift = 0.05 * exact["alpha_j_per_pixel"]
    table = exact.assign(
        alpha_u_j_per_pixel=shift,
        alpha_shift_gain_j_per_pixel=shift,
        alpha_shift_idle_j_per_pixel=0,
    )
    found = complexity_models(table, complexity(), TABLE1)
    assert np.allclose(found["slope_u"], 0.05 * found["slope"].abs())
    assert np.allclose(found["intercept_u"], 0.05 * found["intercept"].abs())
    alone = complexity_models(exact.assign(alpha_u_j_per_pixel=shift), complexity(), TABLE1)
    assert (alone["intercept_u"] < found["intercept_u"]).any()

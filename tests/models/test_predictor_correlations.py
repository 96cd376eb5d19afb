import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.models.linear import FloatArray
from nic_energy.models.predictor_correlations import (
    PLANNED,
    REFERENCE,
    correlate_predictors,
    correlations,
    left_out_errors,
    printed_correlations,
)
from tests.models.table2 import counted, published


@pytest.fixture(scope="module")
def printed() -> pd.DataFrame:
    """Of the paper's own alpha."""
    return printed_correlations(published().table2, counted())


def models(alpha: FloatArray, names: list[str]) -> pd.DataFrame:
    """energy_models.csv of networks with these slopes, both levels one after the other."""
    rows = [
        {"setup": "s", "source": "measured", "part": "chain", "estimator": "trapezoid",
         "network": name, "level": level}
        for name in names
        for level in ("low", "high")
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(alpha_j_per_pixel=alpha)


def complexity(names: list[str], **columns: FloatArray) -> pd.DataFrame:
    """complexity.csv of these networks; columns that are not given are the row's number."""
    rows = [
        {"network": name, "level": level, "quality": quality}
        for name in names
        for quality, level in ((1, "low"), (2, "high"))
    ]
    table = pd.DataFrame(rows)
    for name in tables.NETWORK_PARAMETERS:
        table[name] = columns.get(name, np.arange(len(table), dtype=float))
    return table


def test_the_papers_claim_is_examined_and_not_repeated(printed: pd.DataFrame) -> None:
    """MACs correlate closely; two other counts of MACs are closer, and cannot be told apart."""
    rows = printed.set_index("predictor")
    assert rows["pearson_r"][REFERENCE] == pytest.approx(0.9846, abs=1e-4)
    assert rows["rank"][REFERENCE] == 3
    assert list(printed["predictor"][:2]) == ["kmac_per_pixel_analysis", "kmac_per_pixel_executed"]
    assert rows["rank_best"][REFERENCE] == 1
    for name in ("kmac_per_pixel_analysis", "kmac_per_pixel_executed", "parameters"):
        assert rows["difference_r_low"][name] < 0 < rows["difference_r_high"][name]
    for name in ("kmac_per_pixel_second_layer", "activation_bytes_per_pixel"):
        assert rows["difference_r_low"][name] > 0
    assert set(rows.index[rows["planned"]]) == set(PLANNED)
    assert (printed["sign_flip_p"].dropna() >= 2 / 64).all()
    assert (printed["networks"] == 6).all() and (printed["n"] == 12).all()
    assert list(printed.columns[: len(tables.PREDICTOR_COLUMNS)]) == list(tables.PREDICTOR_COLUMNS)


def test_correlations_are_numpys(printed: pd.DataFrame) -> None:
    joined = published().table2.merge(
        counted().drop_duplicates(["network", "level"]), on=["network", "level"]
    )
    for row in printed.to_dict("records"):
        x = joined[row["predictor"]].astype(float)
        r = np.corrcoef(x, joined["alpha_j_per_pixel"])[0, 1]
        assert row["pearson_r"] == pytest.approx(r)
        slope, offset = np.polyfit(x / x.max(), joined["alpha_j_per_pixel"], 1)
        line = slope * x / x.max() + offset
        error = 100 * np.mean(np.abs(line / joined["alpha_j_per_pixel"] - 1))
        assert row["mean_relative_error_percent"] == pytest.approx(error)


def test_weighted_correlations_are_those_of_repeated_points() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((7, 3)), rng.standard_normal(7)
    weights = np.array([[1, 0, 2, 3, 0, 1, 1], [0, 1, 1, 1, 1, 0, 4]])
    found = correlations(weights.astype(float), x, y)
    for row, repeats in zip(found, weights, strict=True):
        for column in range(3):
            again = np.corrcoef(np.repeat(x[:, column], repeats), np.repeat(y, repeats))[0, 1]
            assert row[column] == pytest.approx(again)
    flat = correlations(np.eye(7)[:1], x, y)
    assert np.isnan(flat).all()


def test_a_network_is_left_out_with_all_its_levels() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    alpha = np.array([1.0, 2.0, 3.0, 4.0, 50.0, 60.0])
    errors = left_out_errors(x, alpha, np.array([0, 0, 1, 1, 2, 2]))
    assert errors is not None
    assert errors[2] == pytest.approx(90.0)
    assert left_out_errors(x, -alpha, np.array([0, 0, 1, 1, 2, 2])) is None
    assert left_out_errors(x[:4], alpha[:4], np.array([0, 0, 1, 1])) is None


def test_the_sign_of_a_correlation_does_not_decide_its_rank() -> None:
    names = [f"n{number}" for number in range(6)]
    alpha = np.arange(1.0, 13.0)
    noisy = alpha + np.tile([0.6, -0.6, 0.3], 4)
    table = complexity(names, parameters=-alpha, layers=noisy)
    rows = correlate_predictors(models(alpha, names), table).set_index("predictor")
    assert rows["pearson_r"]["parameters"] == pytest.approx(-1)
    assert rows["rank"]["parameters"] == 1 == rows["rank"][REFERENCE]
    assert rows["rank"]["layers"] == len(tables.NETWORK_PARAMETERS)
    assert rows["difference_r"]["layers"] > 0


def test_a_missing_or_constant_parameter_has_a_row_without_a_rank() -> None:
    names = [f"n{number}" for number in range(6)]
    missing = np.arange(12.0)
    missing[:2] = np.nan
    table = complexity(names, latent_values_per_pixel=missing, pad_multiple=np.full(12, 64.0))
    rows = correlate_predictors(models(np.arange(1.0, 13.0) ** 2, names), table)
    last = rows[rows["rank"].isna()]
    assert set(last["predictor"]) == {"latent_values_per_pixel", "pad_multiple"}
    assert list(last.index) == list(rows.index[-2:])
    by_name = rows.set_index("predictor")
    assert by_name["pearson_r"]["latent_values_per_pixel"] > 0.9
    assert pd.isna(by_name["pearson_r"]["pad_multiple"])


def test_fewer_than_six_networks_have_no_intervals() -> None:
    names = [f"n{number}" for number in range(5)]
    alpha = np.array([1.0, 2, 3, 5, 4, 6, 8, 7, 9, 11])
    rows = correlate_predictors(models(alpha, names), complexity(names))
    assert rows["pearson_r_low"].isna().all() and rows["rank_best"].isna().all()
    assert rows["pearson_r_without_one_low"].notna().all()
    assert (rows["rank"] == 1).all()
    two = correlate_predictors(models(alpha[:4], names[:2]), complexity(names[:2]))
    assert two["pearson_r_without_one_low"].isna().all() and two["rank"].notna().all()
    one = correlate_predictors(models(alpha[:2], names[:1]), complexity(names[:1]))
    assert one["pearson_r"].isna().all() and len(one) == len(tables.NETWORK_PARAMETERS)


def test_slopes_that_were_not_fitted_are_left_out() -> None:
    names = [f"n{number}" for number in range(6)]
    alpha = np.arange(1.0, 13.0)
    alpha[0] = np.nan
    rows = correlate_predictors(models(alpha, names), complexity(names))
    assert (rows["n"] == 11).all()
    negative = correlate_predictors(models(-np.arange(1.0, 13.0), names), complexity(names))
    assert negative["mean_relative_error_percent"].isna().all()
    assert negative["left_out_error_percent"].isna().all() and negative["rank"].notna().all()

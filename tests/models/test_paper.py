import math

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.models.linear import energy_models
from nic_energy.models.paper import error_half_width, paper_comparison
from nic_energy.models.paper_energy import correlation_interval, largest_offset_share
from nic_energy.models.published import Published, Statement, beside, holds
from nic_energy.models.slopes import complexity_models
from nic_energy.models.uncertainty import line_uncertainty
from tests.models.table2 import NETWORKS, ROOT, TABLE1, TABLE2, counted, energies, published


def compare(energy: pd.DataFrame, paper: Published | None = None) -> pd.DataFrame:
    models, folds = energy_models(energy, NETWORKS, 10, 1)
    slopes = complexity_models(models, counted(), TABLE1)
    return paper_comparison(energy, models, folds, slopes, counted(), paper or published())


@pytest.fixture(scope="module")
def exact() -> pd.DataFrame:
    """Of energies on which the paper's Table 2 holds exactly."""
    return compare(energies())


@pytest.fixture(scope="module")
def noisy() -> pd.DataFrame:
    return compare(energies(noise=0.06))


def of(table: pd.DataFrame, quantity: str, **where: str) -> pd.DataFrame:
    inside = table["quantity"] == quantity
    for name, value in where.items():
        inside &= table[name] == value
    return table[inside]


def test_energies_that_follow_table_2_have_ratios_of_one(exact: pd.DataFrame) -> None:
    for quantity in ("alpha_j_per_pixel", "beta_j"):
        rows = of(exact, quantity)
        assert len(rows) == 12
        assert np.allclose(rows["ratio"].astype(float), 1, rtol=1e-9)
    assert (of(exact, "mean_relative_error_percent")["ours"] < 1e-9).all()
    assert list(exact.columns[: len(tables.COMPARISON_COLUMNS)]) == list(tables.COMPARISON_COLUMNS)


def test_where_the_papers_text_and_tables_disagree_it_is_said(exact: pd.DataFrame) -> None:
    share = of(exact, "largest_offset_share_percent").iloc[0]
    assert (share["relation"], share["printed"]) == ("<=", 20)
    assert share["from_printed_tables"] == pytest.approx(22.374, abs=1e-3)
    assert share["ours"] == pytest.approx(share["from_printed_tables"])
    assert (share["abbreviation"], share["level"]) == ("Bfac", "high")
    assert share["note"] == "the paper's own tables, as printed, give 22.4 (Bfac high)"
    assert math.isnan(share["ratio"])
    fit = of(exact, "slope_fit_error_percent", predictor="published_kmac_per_pixel").iloc[0]
    assert fit["printed"] == 7.64
    assert fit["from_printed_tables"] == pytest.approx(7.6486, abs=1e-4)
    assert fit["note"] == "the paper's own tables, as printed, give 7.65"
    second = "published_kmac_per_pixel_second_layer"
    agrees = of(exact, "slope_fit_error_percent", predictor=second).iloc[0]
    assert agrees["from_printed_tables"] == pytest.approx(11.1569, abs=1e-4)
    assert pd.isna(agrees["note"])


def test_statements_that_hold_carry_no_note(exact: pd.DataFrame) -> None:
    ratio = of(exact, "steepest_over_flattest").iloc[0]
    assert ratio["ours"] == pytest.approx(4.97 / 1.05)
    assert (ratio["relation"], ratio["printed"]) == ("~", 5)
    assert ratio["note"] == "Cattn high over Bfac low"
    levels = of(exact, "networks_with_steeper_high_level").iloc[0]
    assert (levels["ours"], levels["printed"], levels["from_printed_tables"]) == (6, 6, 6)
    everyone, cheng = of(exact, "largest_mean_relative_error_percent").to_dict("records")
    assert (everyone["printed"], everyone["from_printed_tables"]) == (7, 6.46)
    assert (cheng["printed"], cheng["from_printed_tables"]) == (4, 3.88)
    assert cheng["network"].startswith("cheng2020") and cheng["note"] == "of Canch, Cattn"
    meter = of(exact, "external_meter_pearson_r").iloc[0]
    assert pd.isna(meter["ours"]) and meter["printed"] == 0.9986


def test_the_correlation_is_printed_for_one_network(noisy: pd.DataFrame) -> None:
    rows = of(noisy, "pearson_r")
    assert len(rows) == 12
    printed = rows.dropna(subset=["printed"])
    assert dict(zip(printed["level"], printed["printed"], strict=True)) == {
        "low": 0.93, "high": 0.92,
    }  # fmt: skip
    assert set(printed["abbreviation"]) == {"Bhyp"}
    assert ((rows["low"] < rows["ours"]) & (rows["ours"] < rows["high"])).all()


def test_table_1_is_counted_and_has_no_source(exact: pd.DataFrame) -> None:
    rows = exact[exact["where"] == "Table 1"]
    assert len(rows) == 4 * 12 and rows["source"].isna().all()
    parameters = of(rows, "parameters")
    assert (parameters["ours"] == parameters["printed"]).all()
    kmac = of(rows, "kmac_per_pixel")
    differ = set(kmac.loc[kmac["note"].notna(), "abbreviation"])
    assert differ == {"Mcont", "Canch", "Cattn"}
    assert (kmac.loc[kmac["note"].notna(), "ratio"].astype(float) > 1.05).all()


def test_printed_values_enter_no_number_of_ours(noisy: pd.DataFrame) -> None:
    """Other printed values, the same numbers of ours; only what is made of them differs."""
    paper = published()
    other = Published(
        paper.table1.assign(parameters=1),
        paper.table2.assign(
            alpha_j_per_pixel=3 * paper.table2["alpha_j_per_pixel"],
            beta_j=0.1 * paper.table2["beta_j"],
            mean_relative_error_percent=1.0,
        ),
        paper.statements,
    )
    table = compare(energies(noise=0.06), other)
    for name in ("ours", "low", "high", "expanded_uncertainty"):
        pd.testing.assert_series_equal(table[name], noisy[name])
    assert not table["printed"].equals(noisy["printed"])


def test_alpha_keeps_its_uncertainty(noisy: pd.DataFrame) -> None:
    models = energy_models(energies(noise=0.06), NETWORKS, 10, 1)[0]
    rows = of(noisy, "alpha_j_per_pixel")
    assert np.allclose(rows["expanded_uncertainty"], models["alpha_expanded_j_per_pixel"])
    assert np.allclose(rows["high"] - rows["low"], 2 * models["alpha_expanded_j_per_pixel"])


def test_the_offset_share_has_the_uncertainty_of_its_line(noisy: pd.DataFrame) -> None:
    """Against lines drawn from the covariance of alpha and beta."""
    row = of(noisy, "largest_offset_share_percent").iloc[0]
    energy = energies(noise=0.06)
    group = energy[(energy["network"] == row["network"]) & (energy["level"] == row["level"])]
    line = line_uncertainty(group)
    assert line is not None and line.covariance is not None
    rng = np.random.default_rng(2)
    drawn = rng.multivariate_normal([line.alpha.value, line.beta.value], line.covariance, 40_000)
    shares = 100 * drawn[:, 1] / (drawn[:, 0] * 1120 * 760 + drawn[:, 1])
    half = line.coverage_factor() * shares.std()
    assert row["expanded_uncertainty"] == pytest.approx(half, rel=0.25)


def test_the_largest_share_is_found_at_the_size() -> None:
    lines = pd.DataFrame({"alpha_j_per_pixel": [1e-5, 2e-5], "beta_j": [1.0, 3.0]})
    assert largest_offset_share(lines, 1e5) == (60.0, {"alpha_j_per_pixel": 2e-5, "beta_j": 3.0})
    assert largest_offset_share(TABLE2.assign(alpha_j_per_pixel=TABLE2["alpha_1e5_j_per_pixel"]
                                              * 1e-5), 1120 * 760).row["network"] == (
        "bmshj2018-factorized"
    )  # fmt: skip


def test_images_that_are_too_small_make_it_an_extrapolation() -> None:
    small = energies(8, noise=0.05).assign(pixels=lambda e: e["pixels"] // 10)
    table = compare(small)
    share = of(table, "largest_offset_share_percent").iloc[0]
    assert "extrapolated to 0.85 Mpx from images of" in share["note"]
    assert of(table, "largest_offset_share_of_energies_percent").empty


def test_the_offset_over_measured_energies_names_its_modality(exact: pd.DataFrame) -> None:
    row = of(exact, "largest_offset_share_of_energies_percent").iloc[0]
    assert row["note"].startswith("image image") and "quality" in row["note"]
    energy = energies()
    large = energy[(energy["pixels"] >= 1120 * 760)]
    both = large.merge(TABLE2, on=["network", "level"])
    assert row["ours"] == pytest.approx(100 * float((both["beta_j"] / both["energy_j"]).max()))


def test_a_gain_that_all_share_does_not_widen_the_ratio_of_slopes() -> None:
    energy = energies(30, noise=0.02)
    bare = of(compare(energy), "steepest_over_flattest").iloc[0]
    gain = of(compare(energy.assign(u_gain_j=0.1 * energy["energy_j"])), "steepest_over_flattest")
    width = bare["high"] / bare["low"]
    assert gain.iloc[0]["high"] / gain.iloc[0]["low"] == pytest.approx(width, rel=0.02)
    assert bare["low"] < bare["ours"] < bare["high"]


def test_a_ratio_of_slopes_that_may_be_nought_has_no_limits_and_says_so() -> None:
    energy = energies(6, noise=0.01)
    flat = (energy["network"] == TABLE2["network"].iloc[0]) & (energy["level"] == "low")
    scatter = np.random.default_rng(2).standard_normal(int(flat.sum()))
    pixels = energy["pixels"][flat]
    upright = scatter - np.polyval(np.polyfit(pixels, scatter, 1), pixels)
    energy.loc[flat, "energy_j"] = 10 + 1e-9 * pixels + 5 * upright
    row = of(compare(energy), "steepest_over_flattest").iloc[0]
    assert row["ours"] > 1000
    assert pd.isna(row["low"]) and pd.isna(row["high"])
    assert row["note"].endswith("no limits: zero is within the uncertainty of a slope")


def test_lines_that_are_not_positive_have_no_share_of_the_offset() -> None:
    energy = energies(6)
    sunk = energy["network"] == TABLE2["network"].iloc[0]
    energy["energy_j"] = energy["energy_j"].where(~sunk, energy["energy_j"] - 1000)
    row = of(compare(energy), "largest_offset_share_percent").iloc[0]
    assert row["network"] != TABLE2["network"].iloc[0] and 0 < row["ours"] < 100


def test_the_interval_of_a_correlation_covers_the_truth() -> None:
    """Images with a residual that their qualities share; 95 % of intervals hold the truth."""
    rng = np.random.default_rng(4)

    def campaign(images: int) -> pd.DataFrame:
        pixels = rng.uniform(0.5, 3.0, images)
        joules = 10 * pixels + 2 + 3 * rng.standard_normal(images)
        rows = [
            {"image": f"i{n}", "pixels": p, "energy_j": e + 0.5 * rng.standard_normal()}
            for n, (p, e) in enumerate(zip(pixels, joules, strict=True))
            for _ in range(3)
        ]
        return pd.DataFrame(rows)

    big = campaign(60_000)
    truth = float(np.corrcoef(big["pixels"], big["energy_j"])[0, 1])
    ends = [correlation_interval(campaign(40)) for _ in range(400)]
    held = np.mean([end is not None and end[0] <= truth <= end[1] for end in ends])
    assert 0.91 <= held <= 0.985


def test_points_on_a_line_have_no_interval() -> None:
    group = pd.DataFrame({"image": list("abcde"), "pixels": range(5), "energy_j": range(5)})
    assert correlation_interval(group) is None
    assert correlation_interval(group.head(3)) is None
    assert correlation_interval(group.assign(pixels=1)) is None
    one = group.assign(pixels=[1, 1, 1, 1, 2], energy_j=[1, 2, 3, 4, 6])
    assert correlation_interval(one) is None


def test_errors_of_one_image_count_as_one_cluster() -> None:
    rng = np.random.default_rng(7)
    errors = np.abs(rng.normal(0.05, 0.02, 30))
    folds = pd.DataFrame(
        {"image": [f"i{n}" for n in range(30)], "energy_j": 1.0, "predicted_energy_j": 1 + errors}
    )
    half = error_half_width(folds)
    assert half == pytest.approx(2.0452 * 100 * errors.std(ddof=1) / math.sqrt(30), rel=1e-4)
    assert error_half_width(pd.concat([folds] * 4)) == pytest.approx(half)
    assert error_half_width(folds.head(2)) is None


def test_networks_of_ones_own_have_no_printed_values() -> None:
    energy = energies(12, noise=0.03)
    paper = published()
    empty = Published(paper.table1.head(0), paper.table2, paper.statements)
    table = compare(energy, empty)
    rows = table[table["where"] == "Table 1"]
    assert rows["printed"].isna().all() and rows["note"].isna().all()


def test_one_network_with_one_level_is_compared_as_far_as_it_goes() -> None:
    energy = energies(10, noise=0.03)
    energy = energy[(energy["network"] == "mbt2018") & (energy["level"] == "low")]
    table = compare(energy)
    assert len(of(table, "alpha_j_per_pixel")) == 1
    for quantity in ("steepest_over_flattest", "networks_with_steeper_high_level",
                     "slope_fit_error_percent"):  # fmt: skip
        assert of(table, quantity).empty
    assert len(of(table, "largest_mean_relative_error_percent")) == 1
    single = energy[energy["image"] == "image1"]
    assert of(compare(single), "alpha_j_per_pixel").empty


@pytest.mark.parametrize(
    ("value", "relation", "printed", "true"),
    [
        (7.6486, "=", 7.64, False), (7.6449, "=", 7.64, True), (11.1569, "=", 11.16, True),
        (4.73, "~", 5, True), (4.4, "~", 5, False), (6.46, "<", 7, True), (7.0, "<", 7, False),
        (20.0, "<=", 20, True), (22.4, "<=", 20, False),
    ],
)  # fmt: skip
def test_what_a_printed_number_says(
    value: float, relation: str, printed: float, true: bool
) -> None:
    assert holds(value, relation, printed) is true


def test_an_unknown_relation_is_refused() -> None:
    with pytest.raises(ValueError, match="none of"):
        holds(1.0, "!", 1.0)


def test_bounds_have_no_ratio() -> None:
    assert beside("here", "q", "", 3.0, 2.0)["ratio"] == 1.5
    assert "ratio" not in beside("here", "q", "", 3.0, 2.0, "<=")
    assert "printed" not in beside("here", "q", "", 3.0, float("nan"))


def test_a_statement_is_of_its_networks_and_level() -> None:
    models = pd.DataFrame({"network": ["a", "a", "b"], "level": ["low", "high", "low"]})
    said = Statement("s", "q", ("a",), "low", None, "=", 1.0)
    assert list(said.covers(models).index) == [0]
    assert len(Statement("s", "q", (), None, None, "=", 1.0).covers(models)) == 3


def test_the_papers_words_are_with_its_numbers() -> None:
    text = pd.read_csv(ROOT / "resources" / "paper_text.csv")
    assert text["words"].notna().all() and text["relation"].isin(["=", "~", "<", "<="]).all()

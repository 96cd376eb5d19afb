from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.models.ranking import holm, ranking
from tests.models.table2 import NETWORKS, TABLE2, energies

FACTORIZED, HYPERPRIOR, MEAN = "bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean"
SIZES = np.array([[751, 500], [1120, 760], [1400, 900], [1600, 1100], [1800, 1200], [2048, 1366]])


def campaign(
    alphas: Mapping[str, float],
    seed: int = 1,
    images: int = 24,
    own: float = 0.0,
    shared: float = 0.0,
    beta: float = 1.5,
) -> pd.DataFrame:
    """Two qualities an image; errors of the image alone (`own`) or of all networks (`shared`)."""
    rng = np.random.default_rng(seed)
    pixels = SIZES[np.arange(images) % len(SIZES)].prod(axis=1)
    content = rng.standard_normal(images)
    tables_of = []
    for network, alpha in alphas.items():
        error = own * rng.standard_normal(images) + shared * content
        for quality in (1, 2):
            tables_of.append(
                pd.DataFrame(
                    {
                        "setup": "s",
                        "source": "simulated",
                        "part": "chain",
                        "estimator": "trapezoid",
                        "network": network,
                        "level": "low",
                        "quality": quality,
                        "image": [f"image{number}" for number in range(images)],
                        "pixels": pixels,
                        "energy_j": (alpha * pixels + beta) * (1 + error),
                    }
                )
            )
    return pd.concat(tables_of, ignore_index=True)


def ranked(energy: pd.DataFrame, quantity: str = "alpha_j_per_pixel") -> dict[str, dict[str, Any]]:
    found = ranking(energy, NETWORKS)
    found = found[found["quantity"] == quantity]
    return {str(row["abbreviation"]): row for row in found.to_dict("records")}  # type: ignore[misc]


def ranks(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["rank_best"], row["rank_worst"]


def test_equal_networks_are_tied_as_often_as_the_confidence_says() -> None:
    trials = 120
    tied = {"alpha_j_per_pixel": 0, "mean_energy_j": 0}
    for seed in range(trials):
        table = campaign({FACTORIZED: 1.1e-5, HYPERPRIOR: 1.1e-5}, seed, images=18, own=0.07)
        found = ranking(table, NETWORKS)
        for name in tied:
            best = found[found["quantity"] == name]["rank_worst"].iloc[0]
            tied[name] += int(best == 2)
    for name, count in tied.items():
        assert 0.9 <= count / trials <= 0.99, (name, count)


@pytest.mark.parametrize("quantity", ["alpha_j_per_pixel", "mean_energy_j"])
def test_networks_that_differ_clearly_are_told_apart(quantity: str) -> None:
    alphas = {MEAN: 3e-5, HYPERPRIOR: 2e-5, FACTORIZED: 1e-5}
    found = ranked(campaign(alphas, own=0.05), quantity)
    assert list(found) == ["Bfac", "Bhyp", "Mmean"]
    assert [ranks(row) for row in found.values()] == [(1, 1), (2, 2), (3, 3)]
    assert [row["tied_with"] for row in found.values()] == ["", "", ""]


def test_what_cannot_be_told_apart_shares_its_ranks() -> None:
    alphas = {FACTORIZED: 1.0e-5, HYPERPRIOR: 1.001e-5, MEAN: 2e-5}
    found = ranked(campaign(alphas, own=0.05))
    assert {ranks(found["Bfac"]), ranks(found["Bhyp"])} == {(1, 2)}
    assert (found["Bfac"]["tied_with"], found["Bhyp"]["tied_with"]) == ("Bhyp", "Bfac")
    assert ranks(found["Mmean"]) == (3, 3)
    assert found["Mmean"]["tied_with"] == ""


def test_ties_with_several_networks_are_joined_in_alphabetical_order() -> None:
    alphas = {MEAN: 1e-5, HYPERPRIOR: 1e-5, FACTORIZED: 1e-5}
    found = ranked(campaign(alphas, own=0.05))
    assert {name: row["tied_with"] for name, row in found.items()} == {
        "Bfac": "Bhyp;Mmean",
        "Bhyp": "Bfac;Mmean",
        "Mmean": "Bfac;Bhyp",
    }


@pytest.mark.parametrize("quantity", ["alpha_j_per_pixel", "mean_energy_j"])
def test_an_idle_error_cancels_where_both_take_equally_long(quantity: str) -> None:
    table = campaign({FACTORIZED: 1.0e-5, HYPERPRIOR: 1.3e-5}, own=0.02)
    duration = 1e-7 * table["pixels"] + 0.02
    table = table.assign(duration_s=duration, u_idle_j=100 * duration)
    found = ranked(table, quantity)
    assert found["Bfac"]["u"] > 3 * abs(found["Bhyp"]["value"] - found["Bfac"]["value"])
    assert ranks(found["Bfac"]) == (1, 1) and found["Bfac"]["tied_with"] == ""


@pytest.mark.parametrize("quantity", ["alpha_j_per_pixel", "mean_energy_j"])
def test_an_idle_error_stays_where_one_takes_longer(quantity: str) -> None:
    table = campaign({FACTORIZED: 1.0e-5, HYPERPRIOR: 1.3e-5}, own=0.02)
    longer = np.where(table["network"] == HYPERPRIOR, 2.0, 1.0)
    duration = longer * (1e-7 * table["pixels"] + 0.02)
    table = table.assign(duration_s=duration, u_idle_j=100 * duration)
    assert ranked(table, quantity)["Bfac"]["tied_with"] == "Bhyp"
    # Measured after each modality, the same uncertainty is independent and in the scatter.
    paired = ranked(table.assign(idle_kind="paired"), quantity)
    assert paired["Bfac"]["tied_with"] == ""


@pytest.mark.parametrize("quantity", ["alpha_j_per_pixel", "mean_energy_j"])
def test_a_gain_error_cannot_turn_an_order_around(quantity: str) -> None:
    table = campaign({FACTORIZED: 1.0e-5, HYPERPRIOR: 1.1e-5}, shared=0.02)
    found = ranked(table.assign(u_gain_j=0.3 * table["energy_j"]), quantity)
    assert found["Bfac"]["u"] > 2 * (found["Bhyp"]["value"] - found["Bfac"]["value"])
    assert ranks(found["Bfac"]) == (1, 1) and ranks(found["Bhyp"]) == (2, 2)


def test_what_an_image_does_to_both_networks_cancels() -> None:
    table = campaign({FACTORIZED: 1.0e-5, HYPERPRIOR: 1.03e-5}, own=0.005, shared=0.1)
    assert ranked(table)["Bfac"]["tied_with"] == ""
    others = np.where(table["network"] == HYPERPRIOR, "other_", "") + table["image"]
    assert ranked(table.assign(image=others))["Bfac"]["tied_with"] == "Bhyp"


def test_the_mean_energy_is_over_the_images_that_all_networks_have() -> None:
    table = campaign({FACTORIZED: 1.0e-5, HYPERPRIOR: 1.2e-5}, own=0.01)
    large = (table["network"] == HYPERPRIOR) & (table["pixels"] > 1.2e6)
    found = ranked(table[~large], "mean_energy_j")
    assert list(found) == ["Bfac", "Bhyp"]
    common = table[(table["pixels"] <= 1.2e6) & (table["network"] == FACTORIZED)]
    assert found["Bfac"]["value"] == pytest.approx(
        common.groupby("image")["energy_j"].mean().mean()
    )
    disjoint = table[(table["network"] == HYPERPRIOR) == (table["pixels"] > 1.2e6)]
    none = ranked(disjoint, "mean_energy_j")
    assert all(pd.isna(row["value"]) and pd.isna(row["rank_best"]) for row in none.values())


def test_one_image_size_has_no_alpha_but_a_mean_energy() -> None:
    table = campaign({FACTORIZED: 1.0e-5, HYPERPRIOR: 2e-5}, own=0.03).assign(pixels=1_000_000)
    found = ranking(table, NETWORKS).set_index(["quantity", "abbreviation"])
    assert found.loc["alpha_j_per_pixel"]["value"].isna().all()
    assert found.loc["alpha_j_per_pixel"]["rank_best"].isna().all()
    means = found.loc["mean_energy_j"]
    assert means["value"].notna().all() and means["u"].notna().all()


def test_one_image_tells_nothing_apart() -> None:
    found = ranked(campaign({FACTORIZED: 1e-5, HYPERPRIOR: 9e-5}, images=1), "mean_energy_j")
    assert ranks(found["Bfac"]) == (1, 2)
    assert np.isnan(found["Bfac"]["u"])


def test_holm_stops_at_the_first_that_is_not_rejected() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005], 0.95).tolist() == [True, False, False, True]
    assert holm([0.04], 0.95).tolist() == [True]
    assert holm([0.04, 0.9], 0.95).tolist() == [False, False]
    assert holm([], 0.95).tolist() == []


def test_the_papers_networks_are_ranked_within_their_level(tmp_path: Path) -> None:
    found = ranking(energies(images=20, noise=0.02), NETWORKS)
    assert list(found.columns) == list(tables.RANKING_COLUMNS)
    assert len(found) == 2 * 2 * 6
    for level, rows in found[found["quantity"] == "alpha_j_per_pixel"].groupby("level"):
        assert set(rows["abbreviation"]) == {n.abbreviation for n in NETWORKS.values()}
        printed = TABLE2[TABLE2["level"] == level].set_index("abbreviation")
        for row in rows.to_dict("records"):
            alpha = printed["alpha_1e5_j_per_pixel"]
            true_rank = int((alpha < alpha[row["abbreviation"]]).sum()) + 1
            assert row["rank_best"] <= true_rank <= row["rank_worst"]
    apart = found[(found["level"] == "high") & (found["abbreviation"] == "Cattn")]
    assert apart["rank_best"].tolist() == apart["rank_worst"].tolist() == [6, 6]
    tables.write_csv(tmp_path / "ranking.csv", found)
    back = tables.read_csv(tmp_path / "ranking.csv", tables.RANKING_COLUMNS)
    assert back["rank_best"].dtype == np.int64


def test_an_empty_table_gives_an_empty_ranking() -> None:
    found = ranking(campaign({FACTORIZED: 1e-5}).head(0), NETWORKS)
    assert found.empty and list(found.columns) == list(tables.RANKING_COLUMNS)
    alone = ranked(campaign({FACTORIZED: 1e-5}, own=0.05))
    assert ranks(alone["Bfac"]) == (1, 1)

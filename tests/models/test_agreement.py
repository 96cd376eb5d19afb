import numpy as np
import pytest

from nic_energy.models.agreement import agreement, rankings
from nic_energy.models.setups import SetUp
from tests.models.setups import (
    ALPHAS,
    ATTENTION,
    CONTEXT,
    FACTORIZED,
    HYPERPRIOR,
    image_errors,
    virtual_setup,
)

SHORT = {FACTORIZED: "Bfac", HYPERPRIOR: "Bhyp", CONTEXT: "Mcont", ATTENTION: "Cattn"}


def named(setup: SetUp) -> SetUp:
    return SetUp(setup.label, setup.energy, SHORT)


def test_setups_of_one_order_agree() -> None:
    random = np.random.default_rng(1)
    errors = image_errors(random)
    setups = [
        named(virtual_setup("a", random, own=0.003, shared=errors)),
        named(virtual_setup("b", random, own=0.003, shared=errors, gain=3.0)),
    ]
    table = agreement(setups)
    assert set(table["quantity"]) == {"alpha_j_per_pixel", "mean_energy_j"}
    for row in table.to_dict("records"):
        assert (row["setup"], row["source"]) == ("a;b", "simulated")
        assert (row["networks"], row["pairs"], row["tau"]) == (4, 6, 1.0)
        assert (row["discordant"], row["reversed"]) == (0, "")
        assert row["tau_high"] == 1.0
        assert row["tau_low"] == pytest.approx(1 - 2 * row["undecided"] / 6)
    assert table[table["quantity"] == "mean_energy_j"]["tau_b"].iloc[0] == 1.0


def test_a_reversed_pair_is_named() -> None:
    random = np.random.default_rng(2)
    errors = image_errors(random, share=0.02)
    turned = {**ALPHAS, ATTENTION: 0.7e-5}
    setups = [
        named(virtual_setup("a", random, own=0.003, shared=errors)),
        named(virtual_setup("b", random, turned, own=0.003, shared=errors)),
    ]
    row = agreement(setups).iloc[0]
    assert (row["concordant"], row["discordant"], row["undecided"]) == (3, 3, 0)
    assert row["reversed"] == "Bfac<Cattn;Bhyp<Cattn;Mcont<Cattn"
    assert row["tau"] == row["tau_b"] == row["tau_low"] == row["tau_high"] == 0.0


def test_ties_are_counted_as_ties_and_leave_tau_open() -> None:
    random = np.random.default_rng(3)
    close = {FACTORIZED: 1e-5, HYPERPRIOR: 1.001e-5, ATTENTION: 3e-5}
    setups = [named(virtual_setup(name, random, close, own=0.05)) for name in ("a", "b")]
    row = agreement(setups).iloc[0]
    assert (row["pairs"], row["concordant"], row["undecided"]) == (3, 2, 1)
    # Ties in both rankings leave tau-b alone, but not what tau may be.
    assert row["tau_b"] == 1.0
    assert (row["tau_low"], row["tau_high"]) == (pytest.approx(1 / 3), 1.0)
    ranks = rankings(setups)
    tied = ranks[(ranks["setup"] == "a") & (ranks["network"] == FACTORIZED)].iloc[0]
    assert (tied["rank_best"], tied["rank_worst"], tied["tied_with"]) == (1, 2, "Bhyp")


def test_the_range_of_tau_holds_that_of_the_true_order() -> None:
    held = 0
    for seed in range(40):
        random = np.random.default_rng([4, seed])
        close = {name: 1e-5 * 1.06**number for number, name in enumerate(ALPHAS)}
        turned = dict(zip(close, [*close.values()][::-1], strict=True))
        setups = [
            virtual_setup("a", random, close, own=0.04),
            virtual_setup("b", random, turned, own=0.04),
        ]
        row = agreement(setups).iloc[0]
        held += row["tau_low"] <= -1.0
    assert held >= 36


def test_rankings_are_of_the_networks_and_images_that_all_have() -> None:
    random = np.random.default_rng(5)
    one = named(virtual_setup("a", random))
    fewer = virtual_setup("b", random, {k: v for k, v in ALPHAS.items() if k != CONTEXT}, images=12)
    ranks = rankings([one, named(fewer)])
    assert set(ranks["network"]) == {FACTORIZED, HYPERPRIOR, ATTENTION}
    by_slope, by_energy = (
        ranks[(ranks["setup"] == "a") & (ranks["quantity"] == name)].set_index("network")["value"]
        for name in ("alpha_j_per_pixel", "mean_energy_j")
    )
    rows = one.energy[one.energy["network"] == ATTENTION]
    assert by_slope[ATTENTION] == one.slopes["chain", ATTENTION, "low"].alpha.value  # type: ignore[index]
    shared = rows[rows["image"].isin(fewer.energy["image"])]
    assert by_energy[ATTENTION] == pytest.approx(shared["energy_j"].mean())
    elsewhere = SetUp("c", fewer.energy.assign(setup="c", image="c" + fewer.energy["image"]))
    assert set(rankings([one, elsewhere])["quantity"]) == {"alpha_j_per_pixel"}


def test_measured_and_simulated_are_ranked_side_by_side_and_not_compared() -> None:
    random = np.random.default_rng(6)
    setups = [virtual_setup("a", random, source="measured"), virtual_setup("b", random)]
    assert agreement(setups).empty
    ranks = rankings(setups)
    assert dict(zip(ranks["setup"], ranks["source"], strict=True)) == {
        "a": "measured",
        "b": "simulated",
    }

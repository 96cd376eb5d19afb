import numpy as np
import pytest

from benchmarks.worlds import TRUTHS, world
from nic_energy.models.joint.fit import (
    BYTES,
    CALLS,
    KMAC,
    TERMS,
    UNITS,
    Points,
    distances,
    fit,
    information,
    shares,
)


@pytest.mark.parametrize("name", TRUTHS)
def test_exact_energies_give_the_coefficients_back(name: str) -> None:
    truth = TRUTHS[name]
    found = fit(Points.of(world(truth)), tuple(truth))
    assert found.coefficients == pytest.approx(list(truth.values()), rel=1e-6)
    assert found.active == tuple(truth)


def test_terms_that_are_not_there_get_nothing() -> None:
    truth = TRUTHS["mac"]
    found = fit(Points.of(world(truth)), tuple(TERMS))
    known = dict(zip(found.terms, found.coefficients, strict=True))
    for term in TERMS:
        assert known[term] == pytest.approx(truth.get(term, 0.0), rel=1e-5, abs=1e-12)
    assert set(UNITS) == set(TERMS)


def test_no_coefficient_is_negative() -> None:
    table = world(TRUTHS["mac"])
    given_back = table["padded_pixels"] * table[BYTES] * 2e-10
    found = fit(Points.of(table.assign(energy_j=table["energy_j"] - given_back)), tuple(TERMS))
    known = dict(zip(found.terms, found.coefficients, strict=True))
    assert known["j_per_byte"] == 0
    assert (found.coefficients >= 0).all()
    assert found.predict(Points.of(table)).min() > 0


def test_every_network_and_level_counts_alike_however_many_images_it_has() -> None:
    table = world(TRUTHS["mac"], between=0.2, seed=3)
    often = table[table["network"] == "net0"]
    copies = table.sample(0)
    copies = type(table)(
        data=[row for row in often.to_dict("records") for _ in range(9)], columns=table.columns
    )
    together = type(table)(table.to_dict("records") + copies.to_dict("records"))
    terms = ("j_per_kmac", "j_per_pixel", "j_per_execution")
    assert fit(Points.of(together), terms).coefficients == pytest.approx(
        fit(Points.of(table), terms).coefficients, rel=1e-6
    )


def test_scatter_in_proportion_to_the_energy_does_not_pull_the_model_down() -> None:
    """Weights by the measured energies would make it about 9 % too low here."""
    rng = np.random.default_rng(1)
    table = world(TRUTHS["mac"], networks=200)
    noisy = table.assign(energy_j=table["energy_j"] * (1 + 0.3 * rng.standard_normal(len(table))))
    noisy = noisy[noisy["energy_j"] > 0.1 * table["energy_j"]]
    found = fit(Points.of(noisy), ("j_per_kmac", "j_per_pixel", "j_per_execution"))
    off = found.predict(Points.of(table)) / table["energy_j"].to_numpy() - 1
    assert abs(off.mean()) < 0.02


def test_shares_add_up_and_leave_out_what_is_0() -> None:
    table = Points.of(world(TRUTHS["mac"]))
    found = fit(table, ("j_per_kmac", "j_per_byte", "j_per_pixel", "j_per_execution"))
    parts = shares(table, found)
    assert parts.shape == (60, len(found.active))
    assert parts.sum(axis=1) == pytest.approx(np.ones(60))
    assert (parts > 0).all()


def test_the_distance_is_the_leverage_and_grows_away_from_what_is_known() -> None:
    table = Points.of(world(TRUTHS["mac"], networks=8))
    found = fit(table, ("j_per_kmac", "j_per_pixel", "j_per_execution"))
    known = information(table, found)
    # A network is one unit: over all of them, the leverages of their means add up to the terms.
    total = sum(
        distances(table, known, found)[table.network == name].mean() for name in table.networks
    )
    assert total == pytest.approx(3.0)
    few = Points.of(world(TRUTHS["mac"], networks=8).query("network != 'net1'"))
    assert np.mean(distances(table, information(few, found), found)) > np.mean(
        distances(table, known, found)
    )


def test_what_is_asked_of_other_pixels_has_no_energy() -> None:
    table = Points.of(world(TRUTHS["mac"]))
    other = table.at(1e6)
    assert np.isnan(other.energy_j).all() and (other.pixels == 1e6).all()
    assert set(table.features) >= {KMAC, BYTES, CALLS}

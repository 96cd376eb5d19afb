from pathlib import Path

import numpy as np
import pytest

from benchmarks.worlds import TRUTHS, world
from nic_energy.errors import InputError
from nic_energy.models.joint import joint_model
from nic_energy.models.joint.fit import BYTES, CALLS, KMAC
from nic_energy.models.prediction import OWN_LINE, JointModel, by_own_line
from tests.models.sizes import ALPHA, BETA, rows, spread_sizes


def test_a_line_of_its_own_is_exact_where_the_energies_are() -> None:
    found = by_own_line(rows(spread_sizes(20)), 1e6)
    assert found is not None
    assert found.basis == OWN_LINE
    assert found.energy_j == pytest.approx(ALPHA * 1e6 + BETA)
    assert found.low_j == pytest.approx(found.high_j)
    assert found.outside == ()


@pytest.mark.parametrize("images", [8, 30])
def test_the_interval_holds_the_energies_of_further_images(images: int) -> None:
    rng, held, trials = np.random.default_rng(images), 0, 150
    for seed in range(trials):
        residual = rng.normal(0, 0.06, images + 1)
        table = rows(spread_sizes(images + 1, seed), residual=residual)
        new = table[table["image"] == f"image{images:03}"].iloc[0]
        known = table[table["image"] != new["image"]]
        found = by_own_line(known, float(new["pixels"]))
        assert found is not None and found.low_j is not None and found.high_j is not None
        held += found.low_j <= new["energy_j"] <= found.high_j
    assert 0.92 < held / trials < 0.995, held / trials


def test_beyond_the_measured_sizes_it_says_so_and_is_less_sure() -> None:
    table = rows(spread_sizes(20), residual=np.random.default_rng(1).normal(0, 0.05, 20))
    inside, beyond = by_own_line(table, 1.5e6), by_own_line(table, 3e7)
    assert inside is not None and beyond is not None
    (one,) = beyond.outside
    assert one.quantity == "pixels" and one.factor == pytest.approx(3e7 / table["pixels"].max())
    for found in (inside, beyond):
        assert found.low_j is not None and found.high_j is not None
    assert (beyond.high_j - beyond.low_j) / beyond.energy_j > (  # type: ignore[operator]
        inside.high_j - inside.low_j  # type: ignore[operator]
    ) / inside.energy_j
    (small,) = by_own_line(table, 1e5).outside  # type: ignore[union-attr]
    assert small.factor == pytest.approx(1e5 / table["pixels"].min())


def test_a_shared_idle_error_widens_the_interval() -> None:
    table = rows(spread_sizes(20), residual=np.random.default_rng(1).normal(0, 0.01, 20))
    plain = by_own_line(table, 1e6)
    shared = by_own_line(table.assign(u_idle_j=0.2 * table["energy_j"], idle_kind="cold"), 1e6)
    assert plain is not None and shared is not None
    assert shared.high_j > 1.1 * plain.high_j  # type: ignore[operator]


def test_too_few_images_give_a_value_and_no_interval() -> None:
    found = by_own_line(rows([(768, 512), (2048, 1366)]), 1e6)
    assert found is not None
    assert found.low_j is None and found.high_j is None
    assert found.notes == ("no interval: it takes at least 3 images of different sizes",)
    assert by_own_line(rows([(768, 512)] * 3), 1e6) is None


def test_a_line_that_gives_no_energy_at_a_size_is_no_answer() -> None:
    with pytest.raises(InputError, match=r"cannot be: it was measured from"):
        by_own_line(rows(spread_sizes(20), beta=-2.0), 1e4)


def test_the_joint_model_names_what_lies_outside_of_its_training() -> None:
    document, _ = joint_model(world(TRUTHS["mac"], between=0.1, seed=1))
    model = JointModel.read(document, Path("joint_model.json"))
    least, most = document["training_range"][KMAC]
    inside = model.predict({KMAC: (least + most) / 2, BYTES: 9000.0, CALLS: 200.0}, 1e6)
    assert inside.outside == ()
    heavy = model.predict({KMAC: 10 * most, BYTES: 9000.0, CALLS: 1.0}, 1e9)
    assert [each.quantity for each in heavy.outside] == ["pixels", KMAC, CALLS]
    assert heavy.outside[1].factor == pytest.approx(10)
    assert heavy.outside[2].factor < 1
    assert heavy.remoteness is not None and inside.remoteness is not None
    assert heavy.remoteness > inside.remoteness

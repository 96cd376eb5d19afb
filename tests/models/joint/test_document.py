import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.worlds import TRUTHS, joules, world
from nic_energy import tables
from nic_energy.errors import InputError, MismatchError
from nic_energy.files import write_json
from nic_energy.models.joint import joint_model, training_rows
from nic_energy.models.joint.document import equation, features_of
from nic_energy.models.joint.fit import BYTES, CALLS, FEATURES, KMAC, PAPER_KMAC
from nic_energy.models.prediction import JOINT, JointModel
from tests.models.sizes import rows as rows_of
from tests.models.sizes import spread_sizes
from tests.models.table2 import NETWORKS

NEW = {KMAC: 300.0, BYTES: 9000.0, CALLS: 200.0}


def read(document: dict[str, Any], folder: Path) -> JointModel:
    """As it is read back from its file, whose keys are sorted."""
    path = folder / "joint_model.json"
    write_json(path, document)
    return JointModel.read(json.loads(path.read_text(encoding="utf-8")), path)


@pytest.fixture(scope="module")
def noisy() -> tuple[dict[str, Any], pd.DataFrame]:
    return joint_model(world(TRUTHS["mac"], between=0.1, scatter=0.03, seed=2))


@pytest.mark.parametrize("name", ["mac", "mac_bytes"])
def test_a_network_that_was_never_measured_is_predicted_exactly_where_the_law_is_exact(
    name: str, tmp_path: Path
) -> None:
    document, table = joint_model(world(TRUTHS[name]))
    assert document["model"] == name
    assert document["left_out_error_percent"] < 1e-4
    found = read(document, tmp_path).predict(NEW, 1.5e6)
    assert found.basis == JOINT
    assert found.energy_j == pytest.approx(joules(TRUTHS[name], NEW, 1.5e6))
    assert found.low_j == pytest.approx(found.energy_j, rel=1e-4)
    assert table.loc[table["chosen"] == True, "model"].tolist() == [name]  # noqa: E712


def test_the_file_predicts_what_the_model_in_memory_does(
    noisy: tuple[dict[str, Any], pd.DataFrame], tmp_path: Path
) -> None:
    document, _ = noisy
    memory = JointModel.read(document, Path("memory"))
    file = read(document, tmp_path)
    for pixels in (3e5, 2e6, 2e7):
        assert file.predict(NEW, pixels) == memory.predict(NEW, pixels)
    one = file.predict(NEW, 1e6)
    assert one.low_j is not None and one.high_j is not None
    assert one.low_j < one.energy_j < one.high_j
    assert one.remoteness is not None and one.remoteness < 1.2


def test_the_document_says_what_it_rests_on(
    noisy: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    document, _ = noisy
    assert (document["setup"], document["source"], document["part"]) == ("s", "simulated", "chain")
    assert document["networks"] == 6 and document["interval"]["degrees_of_freedom"] == 5
    assert document["training_range"]["pixels"] == [768 * 512, 2048 * 1365]
    assert set(document["training_range"]) == {"pixels", *FEATURES}
    assert len(document["left_out"]) == 12
    assert {"measured_j", "predicted_j", "low_j", "high_j", "inside"} <= set(
        document["left_out"][0]
    )
    for term, each in document["coefficients"]["values"].items():
        place = document["terms"].index(term)
        variance = document["coefficients"]["covariance"][place][place]
        assert each["standard_uncertainty"] ** 2 == pytest.approx(variance)
        assert each["value"] >= 0
    truth = TRUTHS["mac"]["j_per_kmac"]
    found = document["coefficients"]["values"]["j_per_kmac"]
    assert abs(found["value"] - truth) < 3 * found["standard_uncertainty"]


def test_the_error_that_is_stated_is_that_of_the_nested_loop(
    noisy: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    document, table = noisy
    assert list(table.columns) == list(tables.JOINT_MODEL_COLUMNS)
    assert table["kind"].value_counts().to_dict() == {"candidate": 5, "baseline": 2, "nested": 1}
    outer = table[table["kind"] == "nested"].iloc[0]
    assert outer["left_out_error_percent"] == pytest.approx(document["left_out_error_percent"])
    by_network = document["left_out_error_percent_by_network"]
    assert outer["worst_error_percent"] == pytest.approx(max(by_network.values()))
    assert by_network[outer["worst_network"]] == max(by_network.values())
    size = table[table["model"] == "size"].iloc[0]
    assert size["left_out_error_percent"] > 2 * outer["left_out_error_percent"]


def test_the_equation_names_units_and_leaves_out_what_is_0() -> None:
    document, _ = joint_model(world(TRUTHS["mac"]))
    assert equation(document) == "E = S · (4e-08 J/kMAC · kMAC/px + 8e-06 J/px) + 2 J"
    assert features_of(document) == ["pixels", KMAC]


def test_too_few_networks_give_a_document_that_says_so(tmp_path: Path) -> None:
    document, table = joint_model(world(TRUTHS["mac"], networks=2))
    assert document["fitted"] is False and table.empty
    assert document["reason"] == "2 network(s); leaving one out needs at least 3"
    with pytest.raises(InputError, match="holds no joint model: 2 network"):
        read(document, tmp_path)
    three, table = joint_model(world(TRUTHS["mac"], networks=3, between=0.1))
    assert three["model"] == "size"
    assert table["note"].str.startswith("not tried").sum() == 4


def test_a_file_of_another_version_or_with_a_hole_is_refused(
    noisy: tuple[dict[str, Any], pd.DataFrame], tmp_path: Path
) -> None:
    document, _ = noisy
    with pytest.raises(InputError, match="schema version 99, this program reads 1"):
        read({**document, "schema_version": 99}, tmp_path)
    with pytest.raises(InputError, match="not complete"):
        read({key: value for key, value in document.items() if key != "left_out"}, tmp_path)


def counted() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"network": name, "quality": quality, KMAC: 80.0 * quality, BYTES: 4000.0,
             CALLS: 150.0, PAPER_KMAC: 75.0 * quality}
            for name in NETWORKS
            for quality in (1, 2, 3)
        ]
    )  # fmt: skip


def test_rows_get_the_counts_of_their_own_quality_and_their_padded_pixels() -> None:
    found = training_rows(rows_of(spread_sizes(4), padded=True), counted(), NETWORKS)
    assert (found[KMAC] == 80.0 * found["quality"]).all()
    assert (found["abbreviation"] == "Bhyp").all()
    assert (found["padded_pixels"] % (128 * 128) == 0).all()
    assert (found["padded_pixels"] >= found["pixels"]).all()


def test_rows_that_cannot_be_joined_are_named() -> None:
    table = rows_of(spread_sizes(4), qualities=4)
    with pytest.raises(InputError, match="no row for bmshj2018-hyperprior quality 4"):
        training_rows(table, counted(), NETWORKS)
    with pytest.raises(InputError, match="no energies of the part chain"):
        training_rows(table.assign(part="encoder"), counted(), NETWORKS)
    mixed = table.assign(source=np.where(table["quality"] == 1, "measured", "simulated"))
    with pytest.raises(MismatchError, match=r"different source .*: measured, simulated"):
        training_rows(mixed, counted(), NETWORKS)

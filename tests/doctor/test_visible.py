"""Which GPU cuda:N is, from the environment."""

import pytest

from nic_energy.doctor.facts import Gpu
from nic_energy.doctor.visible import visible

ALIKE = [Gpu(index, f"GPU-{index}a", "A100") for index in range(3)]
MIXED = [Gpu(0, "GPU-0a", "RTX 3090"), Gpu(1, "GPU-1a", "RTX 4090")]


@pytest.mark.parametrize(
    ("variable", "seen"),
    [
        (None, "0a 1a 2a"),
        ("0,1,2", "0a 1a 2a"),
        ("2,0", "2a 0a"),
        (" 1 , 2 ", "1a 2a"),
        ("GPU-2a", "2a"),
        ("GPU-2", "2a"),
        ("GPU-2,0", "2a 0a"),
        ("", ""),
        ("-1", ""),
        ("1,-1,2", "1a"),
        ("0,9,1", "0a"),
        ("GPU-", ""),
        ("MIG-3", ""),
        ("0,0", "0a"),
    ],
)
def test_the_rules_of_cuda(variable: str | None, seen: str) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    found = visible(ALIKE, environment)
    assert " ".join(uuid.removeprefix("GPU-") for uuid in found.uuids) == seen
    assert found.certain
    assert bool(found.reason) == (len(found.uuids) < (variable or "0,1,2").count(",") + 1)


@pytest.mark.parametrize(
    ("environment", "certain"),
    [
        ({}, False),
        ({"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, True),
        ({"CUDA_VISIBLE_DEVICES": "1"}, False),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a"}, True),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1a,0"}, False),
    ],
)
def test_where_gpus_differ_an_index_alone_is_uncertain(
    environment: dict[str, str], certain: bool
) -> None:
    assert visible(MIXED, environment).certain is certain

"""Counting without numbers against counting on the CPU, where everything is computed."""

import pytest
import torch
from torch import nn

from nic_energy.codecs.networks import build
from nic_energy.complexity.count import count_all
from nic_energy.complexity.hooks import count_layers, count_parameters
from nic_energy.complexity.operators import count_operators
from nic_energy.complexity.shapes import built_without_weights, shapes_only
from nic_energy.config import Network, project_root, read_networks

NETWORKS = read_networks(project_root() / "config" / "networks.tsv")
SIDE = 64


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_counts_the_same_with_and_without_numbers(name: str) -> None:
    network = NETWORKS[name]
    real = build(network, 1, seed=0)
    without = built_without_weights(lambda: build(network, 1, seed=0))
    with shapes_only():
        layers = count_layers(without, SIDE, SIDE)
        operators = count_operators(without, SIDE, SIDE)
    assert layers == count_layers(real, SIDE, SIDE)
    assert operators == count_operators(real, SIDE, SIDE)
    assert count_parameters(without) == count_parameters(real)


def test_no_weight_is_made() -> None:
    module = built_without_weights(lambda: build(NETWORKS["mbt2018"], 8, seed=0))
    tensors = [*module.parameters(), *module.buffers()]
    assert len(tensors) > 50
    assert all(tensor.is_meta for tensor in tensors)


def test_outside_of_the_context_tensors_have_numbers_again() -> None:
    with shapes_only():
        inside = torch.zeros(2)
        order = torch.arange(3, dtype=torch.long)
    assert inside.is_meta
    assert order.tolist() == [0, 1, 2]
    assert torch.zeros(2).tolist() == [0.0, 0.0]


def test_a_users_module_may_do_with_its_numbers_what_it_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys
    import types

    class Curious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)
            self.scale = float(self.layer.weight.sum())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layer(x) * self.scale
            return result

    module = types.ModuleType("curious_codec")
    module.make = lambda quality: Curious()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "curious_codec", module)
    summary, _ = count_all({"own": Network("own", "Own", (1,), (), 1, "curious_codec:make")})
    assert summary[0]["kmac_per_pixel"] == pytest.approx(9 / 1e3)

"""Operators, activation bytes, layers and latents against values computed by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nic_energy.codecs.networks import build
from nic_energy.complexity.count import operator_columns, per_transform
from nic_energy.complexity.hooks import count_layers
from nic_energy.complexity.operators import OperatorCount, count_operators
from nic_energy.complexity.transforms import transform_of
from nic_energy.config import project_root, read_networks

NETWORKS = read_networks(project_root() / "config" / "networks.tsv")
SIDE = 8
PIXELS = SIDE * SIDE
FLOAT = 4


class Codec(nn.Module):
    """Down to a quarter of the pixels with 5 channels, squared, and up again."""

    def __init__(self) -> None:
        super().__init__()
        self.g_a = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.g_s = nn.ConvTranspose2d(5, 3, 2, stride=2)
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.g_a(x)
        weight = self.scale.exp().reshape(1, 5, 1, 1)
        squared = y * y
        scaled = squared * weight
        return {
            "x_hat": self.g_s(scaled.transpose(2, 3)),
            "likelihoods": {"y": y, "z": y[:, :1]},
        }


def test_a_network_small_enough_to_count_by_hand() -> None:
    """What each operator reads and writes of activations, in values.

    g_a reads the image (3 a pixel) and writes y (5/4); exp of a weight moves no activation; y·y
    reads y once and writes it; times the weight reads and writes one; the transposition is a
    view; g_s reads 5/4 and writes 3.
    """
    found = count_operators(Codec().eval(), SIDE, SIDE)
    y = 5 * PIXELS // 4
    image = 3 * PIXELS
    values = (image + y) + (y + y) + (y + y) + (y + image)
    assert found == OperatorCount(
        layers=3,  # g_a, g_s and the codec itself, which owns `scale`
        calls=5,  # convolution, exp, two products, convolution
        activation_bytes=FLOAT * values,
        latent_values=y + PIXELS // 4,
    )


def test_the_columns_are_per_pixel() -> None:
    row = operator_columns(count_operators(Codec().eval(), SIDE, SIDE), PIXELS)
    assert row == {
        "layers": 3,
        "operator_calls": 5,
        "activation_bytes_per_pixel": FLOAT * (3 + 5 / 4 * 6 + 3),
        "latent_values_per_pixel": 5 / 4 + 1 / 4,
    }


class Writer(nn.Module):
    """Operators that write in place, without reading, expanded tensors, and a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        buffer = torch.empty_like(x)  # allocates only
        buffer.copy_(x)  # reads x, writes the buffer
        buffer.add_(1)  # reads and writes it
        mean = x[..., :1, :1].expand_as(x)  # views of the image
        ones = torch.ones_like(x)  # writes, reads nothing
        once: Tensor = self.layer(buffer * mean + ones)
        twice: Tensor = self.layer(once)
        return twice


def test_what_is_written_in_place_and_what_is_not_read() -> None:
    found = count_operators(Writer().eval(), SIDE, SIDE)
    image = 3 * PIXELS
    values = 2 * image  # copy_
    values += 2 * image  # add_
    values += image  # ones_like
    values += 3 * image  # product: the expanded view has the image's storage
    values += 3 * image  # sum
    values += 2 * 2 * image  # the convolution, twice
    assert found == OperatorCount(1, 7, FLOAT * values, None)
    assert operator_columns(found, PIXELS)["latent_values_per_pixel"] is None


def test_a_broadcast_tensor_counts_what_it_holds() -> None:
    class Broadcast(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            total: Tensor = x.sum(dim=(2, 3), keepdim=True)
            return x * total.expand_as(x)

    found = count_operators(Broadcast(), SIDE, SIDE)
    image = 3 * PIXELS
    assert found.activation_bytes == FLOAT * ((image + 3) + (image + 3 + image))
    assert (found.layers, found.calls) == (0, 2)


@pytest.mark.parametrize("network", ["bmshj2018-factorized", "mbt2018", "cheng2020-attn"])
def test_per_pixel_they_do_not_depend_on_the_size(network: str) -> None:
    module = build(NETWORKS[network], 1, 0)
    small, large = count_operators(module, 128, 128), count_operators(module, 128, 384)
    assert large.calls == small.calls and large.layers == small.layers
    assert large.activation_bytes == 3 * small.activation_bytes
    assert large.latent_values is not None and small.latent_values is not None
    assert large.latent_values == 3 * small.latent_values


def test_nothing_is_left_behind() -> None:
    module = Codec().eval()
    first = count_operators(module, SIDE, SIDE)
    assert count_operators(module, SIDE, SIDE) == first
    assert all(not layer._forward_hooks for layer in module.modules())


def test_the_published_shapes_of_the_latents() -> None:
    """192 channels of y a 16x16 block and 128 of z a 64x64 block (Balle et al., 2018)."""
    found = count_operators(build(NETWORKS["bmshj2018-hyperprior"], 1, 0), 128, 128)
    assert found.latent_values == 128**2 * (192 / 16**2 + 128 / 64**2)


def test_layers_know_their_transform() -> None:
    assert [
        transform_of(name)
        for name in (
            "g_a.0", "g_s.5.conv", "h_a.2", "h_s.0", "h_mean_s.1", "h_scale_s.1", "h_s2.0",
            "context_prediction", "entropy_parameters.0", "entropy_bottleneck", "g_attention.0",
        )
    ] == [
        "analysis", "synthesis", "hyper_analysis", *["hyper_synthesis"] * 4, *["entropy_model"] * 4,
    ]  # fmt: skip


def test_transforms_add_up_to_all_convolutions() -> None:
    records = count_layers(build(NETWORKS["mbt2018"], 1, 0), 128, 128)
    row = per_transform(records, 128**2)
    total = sum(record.macs for record in records if record.convolution) / 128**2 / 1e3
    assert sum(row.values()) == pytest.approx(total)
    context = 5 * 5 * 192 * 384 / 16**2 / 1e3
    parameters = (768 * 640 + 640 * 512 + 512 * 384) / 16**2 / 1e3
    assert row["kmac_per_pixel_entropy_model"] == pytest.approx(context + parameters)
    hyper = (3 * 3 * 192 * 192 / 16**2 + 5 * 5 * 192 * 192 * (1 / 32**2 + 1 / 64**2)) / 1e3
    assert row["kmac_per_pixel_hyper_analysis"] == pytest.approx(hyper)


def test_a_network_with_parts_of_other_names_is_not_divided() -> None:
    row = per_transform(count_layers(nn.Sequential(nn.Conv2d(3, 3, 1)), 8, 8), 64)
    assert set(row.values()) == {None} and len(row) == 5

"""Complexity of every network and quality of the networks table."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from nic_energy.codecs.networks import build
from nic_energy.complexity.hooks import LayerCount, count_layers, count_parameters
from nic_energy.complexity.operators import OperatorCount, count_operators
from nic_energy.complexity.second_layer import up_to_second
from nic_energy.complexity.shapes import built_without_weights, shapes_only
from nic_energy.complexity.transforms import NAMES, is_divided, transform_of
from nic_energy.config import Network

log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class Counted:
    """One architecture on an image of so many pixels."""

    parameters: int
    layers: list[LayerCount]
    operators: OperatorCount
    pixels: int


def count_all(networks: Mapping[str, Network]) -> tuple[list[Row], list[Row]]:
    """(summary rows, layer rows) of every network and quality.

    Qualities of one architecture are counted once. Counts do not depend on weights, nor on the
    image's size as long as it is a multiple of the padding: CompressAI's networks are counted on
    shapes alone.
    """
    summary: list[Row] = []
    layers: list[Row] = []
    for network in networks.values():
        counted: dict[Any, Counted] = {}
        for quality in network.qualities:
            key = _architecture(network, quality)
            if key not in counted:
                log.info("counting %s quality %d", network.network, quality)
                counted[key] = _count(network, quality)
            found = counted[key]
            head = {
                "network": network.network,
                "abbreviation": network.abbreviation,
                "quality": quality,
                "level": network.level(quality),
            }
            rows = layer_rows(found.layers, found.pixels)
            summary.append(
                {
                    **head,
                    "parameters": found.parameters,
                    "pad_multiple": network.pad_multiple,
                    **totals(found.layers, found.pixels),
                    **per_transform(found.layers, found.pixels),
                    **operator_columns(found.operators, found.pixels),
                }
            )
            layers.extend({**head, **row} for row in rows)
    return summary, layers


def _architecture(network: Network, quality: int) -> Any:
    """Equal for qualities that share an architecture."""
    if network.factory != "compressai":
        return quality
    from compressai.zoo.image import cfgs

    return cfgs.get(network.network, {}).get(quality, quality)


def _count(network: Network, quality: int) -> Counted:
    side = -(-64 // network.pad_multiple) * network.pad_multiple
    if network.factory != "compressai":
        # What a user's own module does with its numbers is not known.
        return _counted(build(network, quality, seed=0), side)
    module = built_without_weights(lambda: build(network, quality, seed=0))
    with shapes_only():
        return _counted(module, side)


def _counted(module: nn.Module, side: int) -> Counted:
    return Counted(
        count_parameters(module),
        count_layers(module, side, side),
        count_operators(module, side, side),
        side * side,
    )


def _kmac(macs: int, pixels: int) -> float:
    return macs / pixels / 1e3


def totals(records: list[LayerCount], pixels: int) -> Row:
    """Convolutions; those up to the second downsampling step; everything executed."""
    convolutions = [record for record in records if record.convolution]
    counts = up_to_second([record.downsampling_factor for record in convolutions])
    second = sum(r.macs for r, inside in zip(convolutions, counts, strict=True) if inside)
    return {
        "kmac_per_pixel": _kmac(sum(r.macs for r in convolutions), pixels),
        "kmac_per_pixel_second_layer": _kmac(second, pixels),
        "kmac_per_pixel_executed": _kmac(sum(r.macs for r in records), pixels),
    }


def per_transform(records: list[LayerCount], pixels: int) -> Row:
    """The convolutions of each transform, which add up to `kmac_per_pixel`.

    Empty for a network whose parts have other names than CompressAI's.
    """
    if not is_divided(record.name for record in records):
        return {f"kmac_per_pixel_{name}": None for name in NAMES}
    macs = dict.fromkeys(NAMES, 0)
    for record in records:
        if record.convolution:
            macs[transform_of(record.name)] += record.macs
    return {f"kmac_per_pixel_{name}": _kmac(count, pixels) for name, count in macs.items()}


def operator_columns(operators: OperatorCount, pixels: int) -> Row:
    """Layers and operators of one execution; bytes and latent values per pixel."""
    latents = operators.latent_values
    return {
        "layers": operators.layers,
        "operator_calls": operators.calls,
        "activation_bytes_per_pixel": operators.activation_bytes / pixels,
        "latent_values_per_pixel": None if latents is None else latents / pixels,
    }


def layer_rows(records: list[LayerCount], pixels: int) -> list[Row]:
    """One row a layer, in order of execution; `second_layer` is empty for no convolution."""
    convolutions = [record for record in records if record.convolution]
    counts = iter(up_to_second([record.downsampling_factor for record in convolutions]))
    return [
        {
            "index": index,
            "name": record.name,
            "type": record.type,
            "input_shape": "x".join(map(str, record.input_shape)),
            "output_shape": "x".join(map(str, record.output_shape)),
            "downsampling_factor": record.downsampling_factor,
            "second_layer": next(counts) if record.convolution else None,
            "kmac_per_pixel": _kmac(record.macs, pixels),
        }
        for index, record in enumerate(records)
    ]

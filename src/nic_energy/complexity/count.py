"""Complexity of every network and quality of the networks table."""

import logging
from collections.abc import Mapping
from typing import Any

from nic_energy.codecs.networks import build
from nic_energy.complexity.hooks import LayerCount, count_layers, count_parameters
from nic_energy.complexity.second_layer import up_to_second
from nic_energy.config import Network

log = logging.getLogger(__name__)

Row = dict[str, Any]


def count_all(networks: Mapping[str, Network]) -> tuple[list[Row], list[Row]]:
    """(summary rows, layer rows) of every network and quality.

    Qualities of one architecture are counted once. Counts do not depend on weights, nor on the
    image's size as long as it is a multiple of the padding.
    """
    summary: list[Row] = []
    layers: list[Row] = []
    for network in networks.values():
        counted: dict[Any, tuple[int, list[LayerCount], int]] = {}
        for quality in network.qualities:
            key = _architecture(network, quality)
            if key not in counted:
                log.info("counting %s quality %d", network.network, quality)
                counted[key] = _count(network, quality)
            parameters, records, pixels = counted[key]
            head = {
                "network": network.network,
                "abbreviation": network.abbreviation,
                "quality": quality,
                "level": network.level(quality),
            }
            rows = layer_rows(records, pixels)
            summary.append(
                {
                    **head,
                    "parameters": parameters,
                    "pad_multiple": network.pad_multiple,
                    **totals(records, pixels),
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


def _count(network: Network, quality: int) -> tuple[int, list[LayerCount], int]:
    module = build(network, quality, seed=0)
    side = -(-64 // network.pad_multiple) * network.pad_multiple
    return count_parameters(module), count_layers(module, side, side), side * side


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

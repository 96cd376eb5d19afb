"""What one network costs, counted on an image of zeros: for networks outside the networks table."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nic_energy.complexity.count import operator_columns, totals
from nic_energy.complexity.hooks import count_layers, count_parameters
from nic_energy.complexity.operators import count_operators
from nic_energy.errors import InputError

LEAST_SIDE = 128
EXECUTED = "kmac_per_pixel_executed"
GROWING = (EXECUTED, "activation_bytes_per_pixel")
GROWS = 1.1
"""A count per pixel that grows by this factor up to the size that is asked for is none."""


def count_module(
    module: nn.Module, multiple: int, name: str, pixels: int
) -> tuple[dict[str, Any], str | None]:
    """(columns of complexity.csv, what makes them doubtful or None) of a network on the CPU.

    It is counted on two sizes: global attention costs more per pixel of a larger image, so that
    there is no count per pixel which holds for all sizes.

    Args:
        multiple: what height and width have to be a multiple of. name: for errors.
        pixels: of the padded image that is asked for.

    Raises:
        InputError: the network does not run on an image of these sizes.
    """
    side = -(-LEAST_SIDE // multiple) * multiple
    small, large = (_columns(module, each, name) for each in (side, 2 * side))
    doubts = []
    for key in GROWING:
        per_pixel = (large[key] - small[key]) / (3 * side**2)
        expected = large[key] + per_pixel * (pixels - 4 * side**2)
        if expected > GROWS * large[key]:
            doubts.append(
                f"{key} grows with the image ({small[key]:.4g} at {side}x{side}, {large[key]:.4g} "
                f"at {2 * side}x{2 * side}, by that about {expected:.4g} at the size asked for): "
                "the prediction, which takes it as constant, is too low"
            )
    return {"parameters": count_parameters(module), **large}, "; ".join(doubts) or None


def _columns(module: nn.Module, side: int, name: str) -> dict[str, Any]:
    try:
        layers = count_layers(module, side, side)
        operators = count_operators(module, side, side)
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            module(torch.zeros(1, 3, side, side))
    except Exception as error:
        raise InputError(
            f"{name}: does not run on an image of shape (1, 3, {side}, {side}) on the CPU "
            f"({type(error).__name__}: {error}). --pad-multiple says what sizes it takes."
        ) from error
    pixels = side * side
    columns = {**totals(layers, pixels), **operator_columns(operators, pixels)}
    # Products of activations with each other are no layer's, so that no hook sees them; where there
    # are none, both counts are equal.
    by_operators = flops.get_total_flops() / 2 / pixels / 1e3
    columns[EXECUTED] = max(columns[EXECUTED], by_operators)
    return columns

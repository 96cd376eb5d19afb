"""What one network costs, counted on an image of zeros: for networks outside the networks table."""

from typing import Any

from torch import nn

from nic_energy.complexity.count import operator_columns, totals
from nic_energy.complexity.hooks import count_layers, count_parameters
from nic_energy.complexity.operators import count_operators
from nic_energy.errors import InputError

LEAST_SIDE = 64
TOLERANCE = 0.01


def count_module(module: nn.Module, multiple: int, name: str) -> tuple[dict[str, Any], str | None]:
    """(columns of complexity.csv, what makes them doubtful or None) of a network on the CPU.

    It is counted on two sizes: what costs more per pixel of a larger image, as global attention
    does, has no count per pixel that holds for all sizes.

    Args:
        multiple: what height and width have to be a multiple of. name: for errors.

    Raises:
        InputError: the network does not run on an image of these sizes.
    """
    side = -(-LEAST_SIDE // multiple) * multiple
    small, large = (_columns(module, each, name) for each in (side, 2 * side))
    doubt = None
    for key in ("kmac_per_pixel_executed", "activation_bytes_per_pixel"):
        if abs(large[key] - small[key]) > TOLERANCE * small[key]:
            doubt = (
                f"{key} depends on the size of the image ({small[key]:.4g} at {side}x{side}, "
                f"{large[key]:.4g} at {2 * side}x{2 * side}): no prediction for another size holds"
            )
    return {"parameters": count_parameters(module), **large}, doubt


def _columns(module: nn.Module, side: int, name: str) -> dict[str, Any]:
    try:
        layers = count_layers(module, side, side)
        operators = count_operators(module, side, side)
    except Exception as error:
        raise InputError(
            f"{name}: does not run on an image of shape (1, 3, {side}, {side}) on the CPU "
            f"({type(error).__name__}: {error}). --pad-multiple says what sizes it takes."
        ) from error
    pixels = side * side
    return {**totals(layers, pixels), **operator_columns(operators, pixels)}

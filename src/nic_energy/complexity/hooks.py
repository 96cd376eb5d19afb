"""Forward hooks that count the multiply-accumulate operations of every layer.

A convolution costs kernel height x kernel width x input channels x output channels / groups at
every point of its grid: the output grid of `Conv2d`, the input grid of `ConvTranspose2d`. GDN is
a 1x1 convolution inside a module, and the entropy bottleneck multiplies small matrices: both are
executed by the device, neither is a convolution layer, so they count as `executed` only.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

LIKELIHOOD_EVALUATIONS = 2
"""The entropy bottleneck evaluates its cumulative at both edges of a quantisation bin."""


@dataclass(frozen=True)
class LayerCount:
    """One execution of a layer.

    `downsampling_factor` is the image height over the height of the layer's grid (the larger of
    height and width); `macs` are those of one image; `convolution` says whether the paper's count
    includes the layer.
    """

    name: str
    type: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    downsampling_factor: float
    macs: int
    convolution: bool


def count_layers(module: nn.Module, height: int, width: int) -> list[LayerCount]:
    """Count one forward pass on an image of zeros, in order of execution.

    Args:
        module: a network in evaluation mode on the CPU, or one without weights under
            `shapes_only`; takes shape (1, 3, height, width).
    """
    records: list[LayerCount] = []
    handles = [
        layer.register_forward_hook(_hook(name, counter, (height, width), records))
        for name, layer in module.named_modules()
        if (counter := _counter(layer)) is not None
    ]
    try:
        # Inference mode would forbid a masked convolution to set its weights without numbers.
        with torch.no_grad():
            module(torch.zeros(1, 3, height, width))
    finally:
        for handle in handles:
            handle.remove()
    return records


Counter = Callable[[Any, Tensor, Tensor], tuple[int, tuple[int, ...]]]
"""(layer, input, output) to (MACs, shape of the grid)."""


def _counter(layer: nn.Module) -> Counter | None:
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import GDN

    if isinstance(layer, nn.ConvTranspose2d):
        return lambda layer, x, _: (_convolution(layer, x), tuple(x.shape))
    if isinstance(layer, nn.Conv2d):
        return lambda layer, _, y: (_convolution(layer, y), tuple(y.shape))
    if isinstance(layer, nn.Linear):
        return lambda layer, _, y: (y.numel() * layer.in_features, (1, 1, 1, 1))
    if isinstance(layer, GDN):
        return lambda _, x, __: (x.numel() * x.shape[1], tuple(x.shape))
    if isinstance(layer, EntropyBottleneck):
        return lambda layer, x, _: (_bottleneck(layer, x), tuple(x.shape))
    return None


def _convolution(layer: Any, grid: Tensor) -> int:
    kernel = layer.kernel_size[0] * layer.kernel_size[1]
    points = grid.shape[-2] * grid.shape[-1]
    return int(points * kernel * layer.in_channels * layer.out_channels // layer.groups)


def _bottleneck(layer: Any, latent: Tensor) -> int:
    """Every element passes a chain of matrices of the widths 1, filters, 1, twice."""
    widths = (1, *layer.filters, 1)
    chain = sum(int(a) * int(b) for a, b in itertools.pairwise(widths))
    return LIKELIHOOD_EVALUATIONS * latent.numel() * chain


def _hook(
    name: str, counter: Counter, size: tuple[int, int], records: list[LayerCount]
) -> Callable[[nn.Module, Any, Any], None]:
    def record(layer: nn.Module, inputs: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        macs, grid = counter(layer, inputs[0], first)
        records.append(
            LayerCount(
                name=name,
                type=type(layer).__name__,
                input_shape=tuple(inputs[0].shape),
                output_shape=tuple(first.shape),
                downsampling_factor=max(size[0] / grid[-2], size[1] / grid[-1]),
                macs=macs,
                convolution=isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear),
            )
        )

    return record


def count_parameters(module: nn.Module) -> int:
    """All parameters of a network."""
    return sum(parameter.numel() for parameter in module.parameters())

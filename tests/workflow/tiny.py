"""Networks that run in a millisecond, called by the networks table as `module:function`."""

import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Tiny(nn.Module):
    """One convolution down and one up, with a likelihood to compute a rate from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, channels, 5, stride=2, padding=2)
        self.deeper = nn.Conv2d(channels, channels, 5, stride=2, padding=2)
        self.up = nn.ConvTranspose2d(channels, 3, 4, stride=4)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        latent = self.deeper(self.down(x))
        return {"x_hat": self.up(latent), "likelihoods": {"y": torch.sigmoid(latent)}}


def build(quality: int) -> nn.Module:
    return Tiny(4 * quality)


class Slow(Tiny):
    """Never ends its measurement in the time of a test."""

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        time.sleep(0.05)
        return super().forward(x)


def slow(quality: int) -> nn.Module:
    return Slow(quality)


class Broken(Tiny):
    """Runs out of memory while the file that TINY_BROKEN names exists, but not on the square
    image on which its operations are counted.
    """

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        if x.shape[-2] != x.shape[-1] and Path(os.environ["TINY_BROKEN"]).exists():
            raise torch.OutOfMemoryError("no memory")
        return super().forward(x)


def broken(quality: int) -> nn.Module:
    return Broken(quality)

"""A load for its own sake: FP32 matrix products, without a network, weights or an image."""

import time
from typing import TYPE_CHECKING

from nic_energy.codecs.execution import failing

if TYPE_CHECKING:
    from torch import Tensor

SIDES = (512, 1024, 2048, 4096, 8192)
MOST_S = 0.005
"""A product takes at most this long, so that a stretch of load ends when it should."""

TRIALS = 5
NAME = "sensor passport: matrix products"


class Burn:
    """Products of two square matrices on a PyTorch device, one product an execution.

    The side of the matrices is the largest of `SIDES` whose product takes at most `MOST_S`, so
    that the load fills the device.

    Args:
        device: a PyTorch device.

    Raises:
        NicEnergyError: see `failing`.
    """

    def __init__(self, device: str) -> None:
        import torch

        self._device = torch.device(device)
        with failing(NAME, device):
            self._take(SIDES[0])
        for side in SIDES[1:]:
            if self._time_one() * 8 > MOST_S:
                break
            with failing(NAME, device):
                self._take(side)

    def run(self, executions: int) -> tuple[float, float]:
        """Multiply back to back between two device synchronisations; marks in monotonic s.

        Raises:
            NicEnergyError: see `failing`.
        """
        import torch

        with failing(NAME, self._device), torch.inference_mode():
            self._synchronise()
            start = time.monotonic()
            for _ in range(executions):
                torch.matmul(self._left, self._right, out=self._product)
            self._synchronise()
            return start, time.monotonic()

    def _take(self, side: int) -> None:
        """Matrices of that side, filled at random: zeros would switch few transistors."""
        import torch

        with torch.inference_mode():
            generator = torch.Generator(self._device).manual_seed(0)
            made: list[Tensor] = [
                torch.randn(side, side, generator=generator, device=self._device) for _ in range(2)
            ]
            self._left, self._right = made
            self._product = torch.empty_like(self._left)

    def _time_one(self) -> float:
        """Shortest time of a product in s, after a warm-up; a larger side takes eight times it."""
        self.run(1)
        return min(end - start for start, end in (self.run(1) for _ in range(TRIALS)))

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            import torch

            torch.cuda.synchronize(self._device)

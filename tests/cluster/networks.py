"""A network whose execution takes long, or hangs, as a file says."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nic_energy.interrupts import SIGNALS
from tests.workflow.tiny import Tiny

LONG_S = 2.0


class Lingering(Tiny):
    """As fast as `Tiny`; while the file that LINGERING names holds `long`, it takes its time, and
    while it holds `hung`, no signal but SIGKILL ends it, as one that waits for a driver.
    """

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        path = Path(os.environ["LINGERING"])
        while path.exists() and (said := path.read_text()):
            if said == "hung":
                signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            time.sleep(LONG_S)
            if said == "long":
                break
        return super().forward(x)


def lingering(quality: int) -> nn.Module:
    return Lingering(4 * quality)

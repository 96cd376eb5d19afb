"""The lab campaign on the stand-ins for CUDA and NVML, started as a user starts it.

The configuration is config/config.yaml; the overlay makes protocol, networks and images shorter,
and nothing else.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from nic_energy import cublas
from tests.fake_cuda import FakeCuda, Gpu
from tests.fake_nvml import FakeNvml
from tests.images.pictures import picture
from tests.workflow.campaign import CONFIG, ROOT, TABLE, Campaign

LOAD_W = 100.0
STEADY = ("trace 1:50:0", "update_ms 10", "window_ms 10", "energy_ms 10")

SHORTER: dict[str, Any] = {
    "setup": "lab",
    "weights": "random",
    "images": CONFIG["images"],
    "worker": {"idle_s": 240},
    "protocol": {
        "idle_s": 2,
        "idle_settle_max_s": 0,
        "context_idle_s": 0.5,
        "paired_idle_s": 0.5,
        "paired_settle_max_s": 0,
        "preheat_max_s": 4,
        "settle_s": 1,
        "min_duration_s": 0.5,
        "lead_in_s": 0.1,
        "sampling_hz": 50,
        "relative_width": 1,
        "min_repetitions": 3,
        "max_repetitions": 3,
    },
}
TINY: dict[str, Any] = {
    "networks_table": "networks.tsv",
    "networks": [{"name": "tiny", "qualities": [1]}],
    "passport": False,
    "protocol": {"preheat_celsius": None},
}
"""A network that runs in a millisecond; no characterisation of the sensor, which takes two minutes;
and no preheating."""


def a_uuid() -> str:
    """A GPU of its own: campaigns on one GPU wait for each other."""
    return f"GPU-fa4e0000-0000-4000-8000-{os.urandom(6).hex()}"


SIZES = ((64, 64), (96, 64), (128, 64), (128, 96))


@dataclass
class CudaCampaign(Campaign):
    """A folder with images, an overlay, and both stand-ins."""

    config: dict[str, Any] = field(default_factory=dict)
    nvml: FakeNvml = field(kw_only=True)
    cuda: FakeCuda = field(kw_only=True)
    uuids: tuple[str, str] = field(default_factory=lambda: (a_uuid(), a_uuid()))

    def prepare(self) -> "CudaCampaign":
        """Write the images, the networks table, the overlay and what the stand-ins do."""
        (self.folder / "photos").mkdir()
        (self.folder / "networks.tsv").write_text(TABLE)
        for number, size in enumerate(SIZES):
            picture(*size).save(self.folder / "photos" / f"image{number}.png")
        self.configure(**SHORTER)
        self.cuda.put(gpus=[Gpu(self.uuids[0])])
        self.draw()
        return self

    def draw(self, *lines: str) -> None:
        """What the fake NVML library does besides."""
        named = " ".join(f"{index}:{uuid}" for index, uuid in enumerate(self.uuids))
        self.nvml.put(*STEADY, *self.cuda.nvml(LOAD_W), f"uuid {named}", *lines)

    def env(self) -> dict[str, str]:
        """The environment of a user: nothing is set for CUDA but where the stand-ins are."""
        found = {**super().env(), **self.nvml.environment(), **self.cuda.environment()}
        found["PYTHONPATH"] += f":{ROOT / 'src'}:{ROOT}"
        assert cublas.VARIABLE not in found
        return found

"""Presets of virtual GPUs, by architecture: resources/virtual_gpus.json.

Update periods and averaging windows are those known of the architectures' sensors; gains lie
within what boards of them showed against external meters. Idle, thermal and performance-state
figures are of a plausible size, no particular board's.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy.config import project_root
from nic_energy.errors import ConfigError
from nic_energy.meters.virtual.sensor import CounterSpec, SensorSpec


@dataclass(frozen=True)
class Preset:
    """A virtual GPU.

    `idle_w` at rest and cold; `context_w` more while a network is resident; `wander_w` standard
    deviation of the idle power with correlation time `wander_s`; `step_w` above idle just after
    a load, decaying over `step_s`; `resistance_k_per_w` and `thermal_s` of a first-order thermal
    model over `ambient_c`; `leakage_w_per_k` what a warmer chip draws more.
    """

    key: str
    name: str
    sensors: tuple[SensorSpec, ...]
    counter: CounterSpec
    idle_w: float
    context_w: float
    wander_w: float
    wander_s: float
    step_w: float
    step_s: float
    ambient_c: float
    resistance_k_per_w: float
    thermal_s: float
    leakage_w_per_k: float
    slowdown_c: float
    sm_clock_mhz: float

    @property
    def loop(self) -> float:
        """1 less the feedback of leakage on itself."""
        return 1 - self.resistance_k_per_w * self.leakage_w_per_k

    def settled_c(self, power_w: float) -> float:
        """Temperature at which a constant power settles."""
        return self.ambient_c + self.resistance_k_per_w * power_w


def presets_file() -> Path:
    """The data file."""
    return project_root() / "resources" / "virtual_gpus.json"


def preset_names() -> list[str]:
    """Names of all presets."""
    return list(_read())


def read_preset(key: str) -> Preset:
    """A preset by its name.

    Raises:
        ConfigError: there is none of that name; names those there are.
    """
    known = _read()
    if key not in known:
        raise ConfigError(f"virtual.gpu: there is no {key!r}; there are {', '.join(known)}.")
    values = dict(known[key])
    values["sensors"] = tuple(SensorSpec(**item) for item in values["sensors"])
    values["counter"] = CounterSpec(**values["counter"])
    return Preset(key=key, **values)


def _read() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(presets_file().read_text(encoding="utf-8"))
    return document

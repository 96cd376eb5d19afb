"""What first light runs, on which device, and where everything lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy.bundle.layout import SUFFIX
from nic_energy.campaign import setup_folder
from nic_energy.config import Config, project_root, resolve
from nic_energy.config.merge import overlay, read_merged
from nic_energy.errors import ConfigError

VIRTUAL = "virtual"
CONFIGS = ("config/config.yaml", "config/first_light.yaml")


@dataclass(frozen=True)
class Plan:
    """`document` is the merged configuration, `config` the same, checked."""

    document: Mapping[str, Any]
    config: Config

    @property
    def device(self) -> str:
        """`cuda:N`, `GPU-…` or `virtual`."""
        return str(self.document["device"])

    @property
    def is_virtual(self) -> bool:
        """Whether no real GPU is asked for."""
        return self.device == VIRTUAL

    @property
    def folder(self) -> Path:
        """`results/{setup}`."""
        return setup_folder(self.config.setup)

    @property
    def checks(self) -> Path:
        """Where doctor and GPU tests leave what the bundle takes along."""
        return self.folder / "checks"

    @property
    def logs(self) -> Path:
        """Where the log of each step lies."""
        return Path("logs") / self.config.setup / "first_light"

    @property
    def merged(self) -> Path:
        """The merged configuration as a file, for every step."""
        return self.logs / "config.json"

    @property
    def archive(self) -> Path:
        """The bundle."""
        return self.folder.parent / f"{self.config.setup}{SUFFIX}"


def plan(device: str | None, overlays: Sequence[Path]) -> Plan:
    """The plan for a device; None for that of the configuration.

    Args:
        overlays: configuration files over config/first_light.yaml; one may give its own `setup`.

    Raises:
        ConfigError: the device is no GPU, or a file is wrong.
    """
    base = read_merged([project_root() / name for name in CONFIGS])
    changes = read_merged(overlays)
    device = device or str({**base, **changes}["device"])
    if device == "cpu":
        raise ConfigError(
            "device cpu: first light is of a GPU. Take cuda:N, GPU-…, or virtual, which rehearses "
            "it; config/demo.yaml measures a processor (make demo)."
        )
    meter = VIRTUAL if device == VIRTUAL else "nvml"
    label = label_of(str(base["setup"]), device, str(base["device"]))
    named = overlay(base, {"setup": label})
    document = overlay(overlay(named, changes), {"device": device, "meter": meter})
    return Plan(document, resolve(document))


def label_of(setup: str, device: str, usual: str) -> str:
    """The label of a set-up, one for each device: a set-up is bound to its first."""
    if device == usual:
        return setup
    named = device.replace(":", "")
    return f"{setup}-{named[:12] if named.startswith('GPU-') else named}"

"""What a modality costs on a virtual GPU: linear in pixels by network and level.

E = (alpha*S + beta) * (1 + r), with a residual r that belongs to the modality and never changes:
the scatter of images about the line, apart from the noise of repeated runs. Parameters lie in a
CSV file; `table2` is made of the paper's Table 2.
"""

import csv
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nic_energy.config import project_root
from nic_energy.errors import ConfigError
from nic_energy.meters.virtual.device import Work

COLUMNS = (
    "network",
    "level",
    "alpha_j_per_pixel",
    "beta_j",
    "residual_percent",
    "dynamic_power_w",
    "ripple_share",
)
MOST_SIGMAS = 3.0


@dataclass(frozen=True)
class Line:
    """Parameters of a network and level; `residual_share` is the standard deviation of r."""

    alpha_j_per_pixel: float
    beta_j: float
    residual_share: float
    dynamic_power_w: float
    ripple_share: float


Workload = Mapping[tuple[str, str], Line]


def workload_file(name: str) -> Path:
    """The CSV file of a workload: a name under resources/virtual_workloads, or a path."""
    if name.endswith(".csv"):
        return Path(name)
    return project_root() / "resources" / "virtual_workloads" / f"{name}.csv"


def read_workload(name: str) -> Workload:
    """Read a workload.

    Raises:
        ConfigError: there is no such file, or a row cannot be used.
    """
    path = workload_file(name)
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"virtual.workload: {path} cannot be read ({error}); give the name of a file "
            "in resources/virtual_workloads or the path of a CSV file."
        ) from error
    found: dict[tuple[str, str], Line] = {}
    for row in reader:
        try:
            key = row["network"], row["level"]
            if key in found:
                raise ValueError(f"{key[0]}, level {key[1]}, stands there twice")
            found[key] = _line(row)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}, line {reader.line_num}: {error}; the columns are {', '.join(COLUMNS)}."
            ) from error
    return found


def _line(row: Mapping[str, str]) -> Line:
    """The parameters in a row.

    Raises:
        KeyError, TypeError, ValueError: one is missing or not a number that can be.
    """
    values = {name: float(row[name]) for name in COLUMNS[2:]}
    for name, value in values.items():
        if not math.isfinite(value) or (value < 0 and name != "beta_j"):
            raise ValueError(f"{name} must be a number from 0, not {row[name]}")
    if values["dynamic_power_w"] == 0:
        raise ValueError("dynamic_power_w must be more than 0")
    return Line(
        values["alpha_j_per_pixel"],
        values["beta_j"],
        values["residual_percent"] / 100,
        values["dynamic_power_w"],
        values["ripple_share"],
    )


def residual(seed: int, network: str, quality: int, image: str) -> float:
    """The residual of a modality in standard deviations: normal, within 3 of them."""
    digest = hashlib.sha256(f"{seed}/{network}/{quality}/{image}".encode()).digest()
    random = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
    while abs(value := float(random.standard_normal())) > MOST_SIGMAS:
        pass
    return value


def work_of(
    workload: Workload, network: str, level: str, quality: int, image: str, pixels: int, seed: int
) -> Work:
    """The work of one execution of a modality.

    Raises:
        ConfigError: the workload does not know the network and level, or has no energy for it.
    """
    try:
        line = workload[network, level]
    except KeyError:
        known = ", ".join(sorted({name for name, _ in workload}))
        raise ConfigError(
            f"virtual.workload: has no row for {network}, level {level}; it knows {known}."
        ) from None
    scatter = 1 + line.residual_share * residual(seed, network, quality, image)
    energy = (line.alpha_j_per_pixel * pixels + line.beta_j) * scatter
    if energy <= 0:
        raise ConfigError(
            f"virtual.workload: {network}, level {level}, would take {energy:.3g} J for {image}; "
            "beta_j or residual_percent is too far from what a network can cost."
        )
    return Work(energy, energy / line.dynamic_power_w, line.ripple_share)

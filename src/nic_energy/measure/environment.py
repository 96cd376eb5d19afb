"""What a measurement ran on: versions, machine, device."""

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from typing import Any

from nic_energy import __version__
from nic_energy.config import project_root
from nic_energy.meters.machine import processor_name
from nic_energy.session import session_id, usable_cores, utc_now
from nic_energy.traces import MeterInfo

PACKAGES = (
    "compressai",
    "numpy",
    "nvidia-ml-py",
    "pandas",
    "pillow",
    "pyarrow",
    "scikit-learn",
    "snakemake",
    "torch",
    "torchvision",
)


@cache
def package_versions() -> dict[str, str | None]:
    """Installed versions of the packages that matter to a measurement; None = not installed."""
    versions: dict[str, str | None] = {"nic-energy": __version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def git_commit() -> str | None:
    """Commit of the checkout, with `-dirty` when files were changed; None outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}-dirty" if _git("status", "--porcelain", "-uno") else head
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(project_root()), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=10,
    ).stdout.strip()


def session_of(meter: MeterInfo) -> str:
    """Label of the session; a virtual GPU has one for ever."""
    return meter.driver if meter.meter == "virtual" else session_id(meter.driver)


def describe(meter: MeterInfo, session: str, run_settings: dict[str, Any]) -> dict[str, Any]:
    """The document of `reference/environment.json`.

    Args:
        run_settings: the run settings as read back from torch.
    """
    return {
        "created_utc": utc_now(),
        "session": session,
        "source": meter.source,
        "device": {
            "name": meter.device_name,
            "uuid": meter.device_uuid,
            "driver": meter.driver,
            "meter": meter.meter,
            "slowdown_temperature_c": meter.slowdown_temperature_c,
            "details": dict(meter.details),
        },
        "machine": {
            "processor": processor_name(),
            "usable_cores": usable_cores(),
            "logical_cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "packages": package_versions(),
        "git_commit": git_commit(),
        "run_settings": run_settings,
    }

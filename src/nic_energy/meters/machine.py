"""The machine as a metered device."""

import hashlib
import platform
from pathlib import Path


def machine_uuid() -> str:
    """A stable id of this machine; says nothing about it to others."""
    path = Path("/etc/machine-id")
    text = path.read_text(encoding="ascii").strip() if path.exists() else ""
    return "CPU-" + hashlib.sha256((text or platform.node()).encode()).hexdigest()[:16]


def processor_name() -> str:
    """Model of the processor."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

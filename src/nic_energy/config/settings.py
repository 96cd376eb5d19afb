"""Comparing run settings, and settings that were left open."""

from collections.abc import Mapping
from typing import Any

AUTO = "auto"
PAPER: dict[str, float] = {"sampling_hz": 10.0, "lead_in_s": 1.0}
"""The keys of `protocol` that may be `auto`, with the paper's values."""


def resolved(settings: Mapping[str, Any], choice: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with a number wherever `protocol` says `auto`.

    Args:
        choice: numbers by key, those of a passport; where it has none the paper's stand in.
    """
    protocol = dict(settings["protocol"])
    for key, paper in PAPER.items():
        if protocol.get(key) == AUTO:
            protocol[key] = choice.get(key, paper)
    return {**settings, "protocol": protocol}


def is_open(settings: Mapping[str, Any]) -> bool:
    """Whether `protocol` leaves a number to the passport."""
    return any(settings["protocol"].get(key) == AUTO for key in PAPER)


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The keys in which two settings differ, as `key found -> wanted`."""
    pieces: list[str] = []
    for key in sorted({*wanted, *found}):
        new, old = wanted.get(key), found.get(key)
        if isinstance(new, Mapping) and isinstance(old, Mapping):
            pieces += differences(new, old, f"{prefix}{key}.")
        elif new != old:
            pieces.append(f"{prefix}{key} {old} -> {new}")
    return pieces

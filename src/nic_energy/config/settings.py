"""Comparing run settings."""

from collections.abc import Mapping
from typing import Any


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

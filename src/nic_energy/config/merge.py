"""Reading YAML configurations and overlaying one on another, as Snakemake does."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nic_energy.errors import ConfigError


def read_merged(paths: Iterable[Path]) -> dict[str, Any]:
    """Read configuration files; a later one overlays the earlier, mappings key by key.

    Raises:
        ConfigError: a file is missing, is no YAML, or is no mapping.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: is no YAML ({error}).") from error
        if not isinstance(document, Mapping):
            raise ConfigError(f"{path}: must be a mapping of configuration keys.")
        merged = overlay(merged, document)
    return merged


def overlay(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `top`; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = overlay(below, value)
        else:
            merged[key] = value
    return merged

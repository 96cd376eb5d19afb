"""Whether the traces of an unpacked bundle are those of one campaign on one device."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nic_energy.bundle.layout import (
    DOCTOR,
    ENVIRONMENT,
    GPU_TESTS,
    IDLE,
    INDEX,
    MAX_SAMPLES,
    PASSPORT,
    kind_of,
    minor,
)
from nic_energy.bundle.manifest import Manifest
from nic_energy.campaign import keys
from nic_energy.config import Config
from nic_energy.errors import StoreError
from nic_energy.files import digest_of
from nic_energy.images.index import ImageEntry, read_index
from nic_energy.store import modality_key
from nic_energy.tables import read_csv
from nic_energy.traces import SAMPLE_COLUMNS, SCHEMA_VERSION, TraceMeta, read_meta

MOST_NAMED = 10
TYPES: Mapping[str, pa.DataType] = {
    **{column.name: column.type for column in SAMPLE_COLUMNS},
    "window": pa.int32(),
    "kind": pa.string(),
    "session": pa.string(),
}
UUID_IN: Mapping[str, tuple[str, ...]] = {
    ENVIRONMENT: ("device", "uuid"),
    PASSPORT: ("device_uuid",),
    DOCTOR: ("device_uuid",),
    GPU_TESTS: ("device", "uuid"),
}
"""Where a document names its device."""
SOURCE_OF_METER = {"virtual": "simulated", "cpu_load": "estimated"}


def trace_problems(folder: Path, manifest: Manifest, config: Config) -> list[str]:
    """What is wrong with the recorded files, the first few.

    Raises:
        NicEnergyError: a file cannot be read.
    """
    if config.document["energy_table"]:
        found = _brought(folder, manifest)
    else:
        found = [*_settings(manifest, config), *_all_traces(folder, manifest, config)]
    return found[:MOST_NAMED]


def _brought(folder: Path, manifest: Manifest) -> list[str]:
    """A table that was brought: its sources are those of the manifest, and nothing is measured."""
    table = read_csv(Path(folder / "energy.csv"), columns=("source",))
    problems = []
    if tuple(sorted(set(map(str, table["source"])))) != manifest.sources:
        problems.append("energy.csv: its sources are not those of the manifest")
    if any(kind_of(name) in ("trace", "raw", "reference") for name in manifest.files):
        problems.append("it holds both traces and a table of energies that was brought")
    return problems


def _settings(manifest: Manifest, config: Config) -> Iterator[str]:
    """Keys in which the configuration and the settings of the traces contradict each other.

    A key that only one of them has is another version's.
    """
    if manifest.settings is None or manifest.device is None:
        yield "manifest.json: names neither settings nor device"
        return
    for key, one, two in _common(config.settings(), manifest.settings):
        yield f"config.json: {key} is {one!r}, the traces were measured with {two!r}"


def _common(one: Mapping[str, Any], two: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted(set(one) & set(two)):
        if isinstance(one[key], Mapping) and isinstance(two[key], Mapping):
            yield from ((f"{key}.{k}", a, b) for k, a, b in _common(one[key], two[key]))
        elif one[key] != two[key]:
            yield key, one[key], two[key]


def _all_traces(folder: Path, manifest: Manifest, config: Config) -> Iterator[str]:
    index = {entry.image: entry for entry in read_index(folder / INDEX)}
    expected = {f"traces/{modality_key(*key)}.parquet" for key in keys(config, list(index))}
    held = [name for name in sorted(manifest.files) if kind_of(name) == "trace"]
    for name in held:
        if name not in expected:
            yield f"{name}: is no modality of its campaign"
    if len(held) != manifest.modalities or len(expected) - len(held) != manifest.missing:
        yield (
            f"manifest.json: says {manifest.modalities} modalities and {manifest.missing} missing, "
            f"but there are {len(held)} of {len(expected)}"
        )
    sources = set()
    for name in [IDLE, *held, *(n for n in sorted(manifest.files) if kind_of(n) == "raw")]:
        meta = checked_meta(folder / name)
        sources.add(meta.source)
        yield from (f"{name}: {each}" for each in _one(name, meta, manifest, index))
    if tuple(sorted(sources)) != manifest.sources:
        yield f"manifest.json: says {', '.join(manifest.sources)}, traces {', '.join(sources)}"
    yield from _documents(folder, manifest)


def checked_meta(path: Path) -> TraceMeta:
    """The metadata of a trace that is safe to read: known columns, and not too many rows. A later
    minor version may have further columns, which are never read.

    Raises:
        StoreError: it is not.
    """
    meta = read_meta(path)
    try:
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: cannot be read ({error}).") from error
    if rows > MAX_SAMPLES:
        raise StoreError(f"{path}: has {rows} samples, more than {MAX_SAMPLES}.")
    later = minor(meta.schema_version) > minor(SCHEMA_VERSION)
    for field in schema:
        if later and field.name not in TYPES:
            continue
        if TYPES.get(field.name) != field.type:
            raise StoreError(
                f"{path}: column {field.name[:40]!r} of type {field.type} is none of a trace."
            )
    return meta


def _one(
    name: str, meta: TraceMeta, manifest: Manifest, index: Mapping[str, ImageEntry]
) -> Iterator[str]:
    """What is wrong with one trace."""
    device = manifest.device
    if device is not None and meta.meter.device_uuid != device.uuid:
        yield f"is of device {meta.meter.device_uuid[:60]!r}, the manifest of {device.uuid!r}"
    if digest_of(meta.settings) != meta.settings_digest:
        yield "its settings are not those of its digest"
    wanted = SOURCE_OF_METER.get(meta.meter.meter, meta.source)
    if meta.settings.get("test_switch") and meta.source == "measured":
        wanted = "simulated"
    if meta.source != wanted:
        yield f"says {meta.source!r}, but what meter {meta.meter.meter!r} reads is {wanted}"
    if kind_of(name) == "trace":
        yield from _modality(name, meta, index)
    elif name == IDLE and (meta.kind, meta.outcome) != ("idle", "accepted"):
        yield "is no accepted idle reference"


def _modality(name: str, meta: TraceMeta, index: Mapping[str, ImageEntry]) -> Iterator[str]:
    modality = meta.modality
    if meta.kind != "modality" or meta.outcome != "accepted" or modality is None:
        yield "is no accepted measurement"
        return
    image = modality.image
    key = (modality.part, modality.network, modality.quality, image.image)
    try:
        place = f"traces/{modality_key(*key)}.parquet"
    except ValueError as error:
        yield str(error)
        return
    if place != name:
        yield f"is the trace of {place}"
        return
    entry = index.get(image.image)
    if entry and (entry.width, entry.height) != (image.width, image.height):
        yield (
            f"its image has {image.width}x{image.height} pixels, the index says "
            f"{entry.width}x{entry.height}"
        )


def _documents(folder: Path, manifest: Manifest) -> Iterator[str]:
    """environment.json, passport.json and the checks are of the device, too."""
    for name, path in UUID_IN.items():
        if not (folder / name).exists():
            continue
        try:
            value = json.loads((folder / name).read_text(encoding="utf-8"))
            for key in path:
                value = value[key]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            yield f"{name}: cannot be read ({error!r})"
            continue
        if name == DOCTOR and value is None:  # it found no GPU, or a virtual one
            continue
        if manifest.device is not None and value != manifest.device.uuid:
            yield f"{name}: is of another device, {str(value)[:60]!r}"

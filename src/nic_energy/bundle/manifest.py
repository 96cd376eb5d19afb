"""The manifest of a bundle: whose campaign it is, its versions, and the digest of every file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from nic_energy import __version__, tables, traces
from nic_energy.archives import printable
from nic_energy.bundle.layout import FORMAT, VERSION, major
from nic_energy.config.schema import Strict, read_bundle_schema
from nic_energy.errors import BundleError


@dataclass(frozen=True)
class FileEntry:
    """Size and hex SHA-256 of a file of the bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Publication:
    """Who publishes the data, and under which licence; None where it is not said."""

    lab: str | None = None
    creator: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class Device:
    """What was metered."""

    name: str
    uuid: str
    driver: str
    meter: str


def _schemas() -> Mapping[str, str]:
    return {"trace": traces.SCHEMA_VERSION, "tables": tables.SCHEMA_VERSION}


@dataclass(frozen=True)
class Manifest:
    """manifest.json; every field is described in config/schema/bundle.schema.json."""

    setup: str
    sources: tuple[str, ...]
    device: Device | None
    settings: Mapping[str, Any] | None
    modalities: int
    missing: int
    measured_utc: tuple[str, str] | None
    publication: Publication
    files: Mapping[str, FileEntry]
    version: str = VERSION
    schemas: Mapping[str, str] = field(default_factory=_schemas)
    nic_energy: str = __version__

    def to_bytes(self) -> bytes:
        """As JSON; equal manifests give equal bytes."""
        document = {"format": FORMAT, **asdict(self)}
        text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        return f"{text}\n".encode()


def parse(data: bytes) -> Manifest:
    """Read manifest.json.

    Raises:
        BundleError: it is no manifest, or of a later major version; says what is wrong.
    """
    document = _read(data)
    version = document.get("version")
    if document.get("format") == FORMAT and isinstance(version, str):
        _check_version(version)
    errors = sorted(Strict(read_bundle_schema()).iter_errors(document), key=lambda e: list(e.path))
    if errors:
        where = ".".join(map(str, errors[0].absolute_path)) or "(top level)"
        _refuse(f"{where}: {errors[0].message[:200]}")
    unprintable = [text for text in _texts(document) if not printable(text)]
    if unprintable:
        _refuse(f"{unprintable[0][:100]!r} holds control characters")
    device, measured = document["device"], document["measured_utc"]
    return Manifest(
        setup=document["setup"],
        sources=tuple(document["sources"]),
        device=Device(**{key: device[key] for key in Device.__annotations__}) if device else None,
        settings=document["settings"],
        modalities=document["modalities"],
        missing=document["missing"],
        measured_utc=(measured[0], measured[1]) if measured else None,
        publication=Publication(
            **{key: document["publication"][key] for key in Publication.__annotations__}
        ),
        files={
            name: FileEntry(entry["bytes"], entry["sha256"])
            for name, entry in document["files"].items()
        },
        version=document["version"],
        schemas={key: document["schemas"][key] for key in _schemas()},
        nic_energy=document["nic_energy"],
    )


def _refuse(reason: str) -> NoReturn:
    raise BundleError(f"manifest.json: {reason}.")


def _read(data: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        _refuse(f"cannot be read ({error})")
    if not isinstance(document, Mapping):
        _refuse("is no JSON object")
    return document


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _check_version(version: str) -> None:
    try:
        newer = major(version) > major(VERSION)
    except ValueError:
        return
    if newer:
        raise BundleError(
            f"it is a bundle of version {version}, but this nic-energy reads {major(VERSION)}.x. "
            "Use a newer release."
        )


def _texts(value: Any) -> list[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for item in pair for text in _texts(item)]
    if isinstance(value, Sequence):
        return [text for item in value for text in _texts(item)]
    return []

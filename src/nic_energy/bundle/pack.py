"""A campaign as one archive."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nic_energy.analysis import TABLES, failed_attempts
from nic_energy.bundle.archive import Content, write_archive
from nic_energy.bundle.layout import (
    CONFIG,
    DOCTOR,
    ENERGY_TABLE,
    ENVIRONMENT,
    GPU_TESTS,
    IDLE,
    INDEX,
    MANIFEST,
    NETWORKS,
    PASSPORT,
    REPORT,
)
from nic_energy.bundle.manifest import Device, Manifest, Publication, parse
from nic_energy.bundle.verify import Report, verify
from nic_energy.campaign import keys
from nic_energy.config import Config, resolve
from nic_energy.errors import BundleError, ConfigError, InputError
from nic_energy.files import atomic_path
from nic_energy.images.index import ImageEntry, index_text, read_index
from nic_energy.store import RawStore, anchor_attempts, modality_key
from nic_energy.tables import PROVENANCE, read_csv
from nic_energy.traces import TraceMeta, read_meta

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackRequest:
    """What to pack besides traces and tables: the whole raw store, figures and page.

    `publication` overrides what the configuration says, where it says something.
    """

    raw: bool = False
    figures: bool = False
    publication: Publication = field(default_factory=Publication)


@dataclass(frozen=True)
class Packed:
    """A bundle that was written, and what its verification said; None where it was left out."""

    path: Path
    manifest: Manifest
    report: Report | None


class Source:
    """The files of a campaign: in the folder of its set-up or, of shared ones, beside it.

    Args:
        folder: `results/{setup}`, or the folder of a set-up that was merged.

    Raises:
        InputError: it is no folder of a campaign.
        ConfigError: its configuration is wrong.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / CONFIG
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read ({error}). A campaign lies in results/{{setup}}; its "
                "configuration is written there as a run starts."
            ) from error
        if not isinstance(document, dict):
            raise ConfigError(f"{path}: must be a mapping of configuration keys.")
        self.root = folder.parent.parent
        for key, name in (("networks_table", NETWORKS), ("energy_table", ENERGY_TABLE)):
            if document.get(key) or (folder / name).exists():
                document[key] = str(self._input(name, document.get(key)))
        self.config = resolve(document)
        self.images = self._images()
        self.metas = self._metas()

    def _input(self, name: str, given: str | None) -> Path:
        own = self.folder / name
        return own if own.exists() or given is None else self.root / given

    def _images(self) -> list[ImageEntry]:
        if self.config.document["energy_table"]:
            return []
        own = self.folder / INDEX
        shared = self.folder.parent / "images" / self.config.images.collection / "index.csv"
        return read_index(own if own.exists() else shared)

    def _metas(self) -> dict[tuple[str, str, int, str], TraceMeta]:
        """Metadata of the accepted traces of the campaign."""
        paths = {key: self.trace(key) for key in self.keys()}
        return {key: read_meta(path) for key, path in paths.items() if path.exists()}

    def keys(self) -> list[tuple[str, str, int, str]]:
        """All modalities of the campaign; none where the energies were brought as a table."""
        return keys(self.config, [entry.image for entry in self.images])

    def trace(self, key: tuple[str, str, int, str]) -> Path:
        """The accepted trace of a modality."""
        return self.folder / "traces" / f"{modality_key(*key)}.parquet"

    def members(self, request: PackRequest) -> dict[str, Content]:
        """Every file of the bundle but its manifest, by its name there."""
        found: dict[str, Content] = {
            CONFIG: _json(published_config(self.config)),
            NETWORKS: self.config.networks_table,
            **{name: self.folder / name for name in TABLES},
            **self._complexity(),
        }
        if self.config.document["energy_table"]:
            found[ENERGY_TABLE] = Path(self.config.document["energy_table"])
        else:
            found[INDEX] = index_text(self._published_images()).encode()
            found |= self._measured(request)
        if request.figures:
            pictures = (self.folder / "figures").glob("*.*")
            found |= {f"figures/{path.name}": path for path in pictures}
            found[REPORT] = self.folder / REPORT
        for content in found.values():
            if isinstance(content, Path):
                self._check(content)
        return found

    def _complexity(self) -> dict[str, Content]:
        own = (self.folder / "complexity.csv").exists()
        folder = self.folder if own else self.folder.parent
        return {
            "complexity.csv": folder / "complexity.csv",
            **{path.name: path for path in folder.glob("complexity_*.csv")},
        }

    def _published_images(self) -> list[ImageEntry]:
        """The index with the files of a folder by their names alone."""
        if self.config.images.source != "folder":
            return self.images
        return [replace(entry, member=Path(entry.member).name) for entry in self.images]

    def _measured(self, request: PackRequest) -> dict[str, Content]:
        found: dict[str, Content] = {
            name: self.folder / name for name in (IDLE, ENVIRONMENT) if self.metas
        }
        optional = (PASSPORT, GPU_TESTS)
        found |= {name: self.folder / name for name in optional if (self.folder / name).exists()}
        if (self.folder / DOCTOR).exists():
            found[DOCTOR] = _json(published_doctor(self.folder / DOCTOR))
        for key in self.metas:
            found[f"traces/{modality_key(*key)}.parquet"] = self.trace(key)
        store = RawStore(self.folder)
        if request.raw:
            attempts = sorted(store.root.rglob("*.parquet"))
        else:
            missing = [key for key in self.keys() if key not in self.metas]
            attempts = [a.path for key in missing for a in failed_attempts(store, key)]
            attempts += anchor_attempts(self.folder)
        return found | {path.relative_to(self.folder).as_posix(): path for path in attempts}

    def _check(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(
                f"{path}: is not there. Bring the campaign's tables up to date first: run "
                "snakemake, or `make tables` for what is measured so far."
            )
        if path.is_relative_to(self.folder) and not path.resolve().is_relative_to(
            self.folder.resolve()
        ):
            raise InputError(
                f"{path}: is a link to a file elsewhere, and what lies elsewhere is not published."
            )

    def publication(self) -> Publication:
        """What the configuration says of it; for a merged set-up, what its bundle said."""
        path = self.folder / MANIFEST
        if path.exists():
            return parse(path.read_bytes()).publication
        return Publication(**self.config.document["publication"])


def published_config(config: Config) -> dict[str, Any]:
    """The whole configuration, defaults filled in, with files by their names alone: where they
    lie says nothing to another lab, and may say too much.
    """
    document = dict(config.document)
    for key in ("networks_table", "energy_table", "weights_dir"):
        document[key] = _name(document[key])
    document["networks_table"] = NETWORKS
    document["images"] = {**document["images"], "path": _name(document["images"]["path"])}
    if str(document["images"]["url"] or "").startswith("file:"):
        document["images"]["url"] = "file:///" + str(_name(document["images"]["url"]))
    return document


def published_doctor(path: Path) -> dict[str, Any]:
    """The diagnosis of `nic-energy doctor --json` without its facts and without what it says of
    disks, which name folders of the machine.

    Raises:
        InputError: it is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        checks = [check for check in document["checks"] if check["area"] != "disk"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is no diagnosis of nic-energy doctor --json ({error!r}); write it anew, or "
            "remove it."
        ) from error
    return {**{k: v for k, v in document.items() if k != "facts"}, "checks": checks}


def _name(path: str | None) -> str | None:
    return Path(path).name or path if path else None


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def pack(folder: Path, target: Path, request: PackRequest, check: bool = True) -> Packed:
    """Write a bundle, whole or not at all.

    Args:
        folder: `results/{setup}`.
        check: verify the archive before it gets its name.

    Raises:
        InputError: a file of the campaign is missing.
        BundleError: the archive does not verify, because the tables are not those of the traces.
    """
    source = Source(folder)
    if not source.metas and not source.config.document["energy_table"]:
        raise InputError(f"{folder}: holds no accepted trace of its campaign; measure first.")
    members = source.members(request)
    said = source.publication()
    given = {key: value for key, value in vars(request.publication).items() if value}
    publication = replace(said, **given)
    with atomic_path(target) as partial:
        manifest = write_archive(
            partial, members, lambda files: _manifest(source, publication, files)
        )
        report = verify(partial) if check else None
        if report is not None and not report.verified:
            raise BundleError(
                f"{folder}: no bundle was written, because it would not verify: "
                f"{'; '.join(report.problems)}. Bring the tables up to date first: run snakemake, "
                "or `make tables`."
            )
    return Packed(target, manifest, report)


def _manifest(source: Source, publication: Publication, files: Mapping[str, Any]) -> Manifest:
    metas = list(source.metas.values())
    energy = read_csv(source.folder / "energy.csv", columns=PROVENANCE)
    begun = sorted(meta.created_utc for meta in metas)
    return Manifest(
        setup=source.config.setup,
        sources=tuple(sorted({meta.source for meta in metas} or set(energy["source"]))),
        device=_device(metas[0]) if metas else None,
        settings=dict(metas[0].settings) if metas else None,
        modalities=len(metas) or len(energy),
        missing=len(source.keys()) - len(metas) if metas else 0,
        measured_utc=(begun[0], begun[-1]) if begun else None,
        publication=publication,
        files=files,
    )


def _device(meta: TraceMeta) -> Device:
    meter = meta.meter
    return Device(meter.device_name, meter.device_uuid, meter.driver, meter.meter)

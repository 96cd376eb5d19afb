"""Checking a bundle: every byte, every trace, and every table derived anew from the traces.

What this shows is that the bundle is whole and consistent, not who made it: it is not signed.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nic_energy import __version__, tables
from nic_energy.analysis import TABLES, Inputs, derive
from nic_energy.bundle.archive import unpack
from nic_energy.bundle.layout import (
    CONFIG,
    ENERGY_TABLE,
    INDEX,
    NETWORKS,
    kind_of,
    major,
    minor,
)
from nic_energy.bundle.manifest import Manifest
from nic_energy.bundle.recorded import trace_problems
from nic_energy.bundle.tolerance import (
    Table,
    differences,
    formulas,
    header_formulas,
    read_cells,
)
from nic_energy.config import Config, resolve
from nic_energy.config.schema import read_schema, without_unknown
from nic_energy.errors import BundleError, InputError, NicEnergyError
from nic_energy.files import sha256
from nic_energy.images.index import read_index

BYTES, RECORDED, DERIVED = "bytes", "traces", "tables"


@dataclass(frozen=True)
class Check:
    """A part of the verification: what was looked at, and what is wrong."""

    name: str
    detail: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What the verification of a bundle found; `manifest` is None where it cannot be read."""

    path: Path
    sha256: str
    manifest: Manifest | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong."""
        return [problem for check in self.checks for problem in check.problems]

    @property
    def verified(self) -> bool:
        """Whether the bundle is what it says that it is."""
        return self.manifest is not None and not self.problems

    def document(self) -> dict[str, Any]:
        """Ready for JSON; the manifest without its list of files."""
        manifest = None
        if self.manifest is not None:
            manifest = {k: v for k, v in asdict(self.manifest).items() if k != "files"}
        return {
            "file": str(self.path),
            "sha256": self.sha256,
            "verified": self.verified,
            "manifest": manifest,
            "checks": [asdict(check) for check in self.checks],
            "notes": list(self.notes),
        }


def verify(path: Path) -> Report:
    """Verify a bundle in a folder of its own that is removed afterwards.

    Raises:
        InputError: there is no such file.
        StoreError: there is no space to unpack it.
    """
    with tempfile.TemporaryDirectory(prefix="nic-energy-") as name:
        return verify_in(path, Path(name))


def verify_in(path: Path, folder: Path) -> Report:
    """The same in a folder that stays: `bundle/` is what was unpacked, `tables/` what is derived.

    Raises:
        InputError: there is no such file.
        StoreError: there is no space to unpack it.
    """
    unpacked = folder / "bundle"
    unpacked.mkdir()
    try:
        manifest = unpack(path, unpacked)
    except BundleError as error:
        return Report(path, sha256(path), None, (Check(BYTES, "", (str(error),)),))
    size = sum(entry.bytes for entry in manifest.files.values())
    checks = [Check(BYTES, f"{len(manifest.files)} files, {size / 1e6:.3g} MB, by SHA-256")]
    notes = _pictures(manifest)
    try:
        config = config_of(unpacked, manifest)
    except NicEnergyError as error:
        wrong = Check(RECORDED, "", (f"its configuration cannot be used: {error}",))
        return Report(path, sha256(path), manifest, (*checks, wrong), tuple(notes))
    if unknown := _document(unpacked, manifest)[1]:
        notes.append(
            f"nic-energy {manifest.nic_energy} wrote it, with configuration keys that this release "
            f"does not know: {', '.join(unknown)}"
        )
    checks.append(_recorded(unpacked, manifest, config))
    if not checks[-1].problems:
        check, more = _derived(unpacked, manifest, config, folder / "tables")
        checks.append(check)
        notes += more
    return Report(path, sha256(path), manifest, tuple(checks), tuple(notes))


def config_of(folder: Path, manifest: Manifest, setup: str | None = None) -> Config:
    """The configuration of an unpacked bundle, which reads no file outside its folder.

    Args:
        setup: another label for it.

    Raises:
        NicEnergyError: it is none, or not that of the manifest.
    """
    document, _ = _document(folder, manifest)
    own = folder / ENERGY_TABLE
    return resolve(
        {
            **document,
            "setup": setup or manifest.setup,
            "networks_table": str(folder / NETWORKS),
            "energy_table": str(own) if own.exists() else None,
        }
    )


def _document(folder: Path, manifest: Manifest) -> tuple[dict[str, Any], list[str]]:
    """(config.json, keys in it that are another release's and left out)."""
    try:
        document = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{CONFIG}: cannot be read ({error}).") from error
    if not isinstance(document, dict):
        raise InputError(f"{CONFIG}: is no mapping.")
    if document.get("setup") != manifest.setup:
        raise BundleError(
            f"{CONFIG}: is of set-up {document.get('setup')!r}, the manifest of {manifest.setup!r}."
        )
    if manifest.nic_energy == __version__:
        return document, []
    return without_unknown(read_schema(), document)


def inputs_of(folder: Path, manifest: Manifest) -> Inputs:
    """What the tables of an unpacked bundle are made of."""
    index = folder / INDEX
    return Inputs(
        folder,
        index if index.exists() else None,
        folder / "complexity.csv",
        manifest.settings,
    )


def _pictures(manifest: Manifest) -> list[str]:
    count = sum(kind_of(name) == "picture" for name in manifest.files)
    return [f"{count} figures and pages are checked by their bytes alone"] if count else []


def _recorded(folder: Path, manifest: Manifest, config: Config) -> Check:
    try:
        problems = trace_problems(folder, manifest, config)
    except NicEnergyError as error:
        problems = [str(error)]
    detail = f"{manifest.modalities} modalities, {manifest.missing} missing"
    return Check(RECORDED, detail, tuple(_inside(problems, folder)))


def _inside(problems: Iterable[str], folder: Path) -> list[str]:
    """Messages with files named as in the bundle."""
    return [problem.replace(f"{folder}/", "") for problem in problems]


def _derived(
    folder: Path, manifest: Manifest, config: Config, output: Path
) -> tuple[Check, list[str]]:
    """Derive every table, and compare it with that of the bundle."""
    try:
        derive(config, inputs_of(folder, manifest), output)
    except (NicEnergyError, KeyError, ValueError, TypeError, ArithmeticError) as error:
        problem = f"the tables cannot be derived: {error}"
        return Check(DERIVED, "", tuple(_inside([problem], folder))), []
    version = manifest.schemas["tables"]
    problems = _text_problems(folder, manifest)
    if major(version) != major(tables.SCHEMA_VERSION):
        note = (
            f"its tables are of version {version}, this release derives {tables.SCHEMA_VERSION}: "
            "they are derived anew from the traces, not compared"
        )
        return Check(DERIVED, "not compared", tuple(problems)), [note]
    compared, notes = _compare_all(folder, manifest, output)
    problems += compared
    detail = f"{len(TABLES)} derived anew, equal to 1e-9"
    return Check(DERIVED, "" if problems else detail, tuple(problems)), notes


def _compare_all(folder: Path, manifest: Manifest, output: Path) -> tuple[list[str], list[str]]:
    version = manifest.schemas["tables"]
    lenient = minor(version) != minor(tables.SCHEMA_VERSION)
    problems: list[str] = []
    notes = [f"its tables are of version {version}, not {tables.SCHEMA_VERSION}"] if lenient else []
    held = {name for name in manifest.files if kind_of(name) == "table"}
    for name in sorted({*TABLES, *held}):
        if name not in TABLES:
            (notes if lenient else problems).append(f"{name}: is not derived from traces")
        elif name not in held:
            (notes if lenient else problems).append(f"{name}: is missing")
        else:
            theirs, ours = _cells(folder / name), read_cells(output / name)
            if isinstance(theirs, str):
                problems.append(f"{name}: {theirs}")
            else:
                problems += [f"{name}, {each}" for each in differences(theirs, ours, lenient)]
    return problems, notes


def _cells(path: Path) -> Table | str:
    try:
        return read_cells(path)
    except ValueError as error:
        return str(error)


def _text_problems(folder: Path, manifest: Manifest) -> list[str]:
    """Cells that would do something where a table is opened."""
    found: list[str] = []
    for name in sorted(manifest.files):
        if name.endswith(".csv") and kind_of(name) in ("input", "table"):
            table = _cells(folder / name)
            if isinstance(table, str):
                found.append(f"{name}: {table}")
            else:
                hidden = header_formulas(table.columns) + formulas(table)
                found += [f"{name}, {each}" for each in hidden]
    return found


def images_of(folder: Path) -> Mapping[str, Any]:
    """The image index of an unpacked bundle by id; empty without one."""
    index = folder / INDEX
    return {entry.image: entry for entry in read_index(index)} if index.exists() else {}

"""Bundles of many labs in one folder: every set-up by itself, and their tables as one."""

import csv
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nic_energy import __version__, tables
from nic_energy.analysis import TABLES, derive
from nic_energy.bundle.conflicts import Candidate, conflicts, remarks, without_doubles
from nic_energy.bundle.layout import CONFIG, MANIFEST, kind_of
from nic_energy.bundle.tolerance import Table, read_cells
from nic_energy.bundle.verify import config_of, inputs_of, verify_in
from nic_energy.errors import BundleError, StoreError
from nic_energy.files import link_or_copy, write_json, write_with

RECORD = "merged.json"
SETUPS = "setups.csv"
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = frozenset({RECORD, SETUPS, "models", "energy.parquet", *TABLES})
"""Names that stand beside the set-ups."""
KEPT = ("input", "reference", "check", "trace", "raw")
"""What of a bundle is taken over. Tables are derived anew by this release; figures and pages could
run code where they are opened, and are not taken from others."""
SETUP_COLUMNS = (
    "setup", "source", "lab", "creator", "licence", "device_name", "device_uuid", "driver",
    "modalities", "missing", "first_utc", "last_utc", "bundle", "bundle_sha256", "label_in_bundle",
)  # fmt: skip


@dataclass(frozen=True)
class Merged:
    """What was put together where; `notes` are what a reader of the tables has to know."""

    folder: Path
    setups: tuple[str, ...]
    modalities: int
    notes: tuple[str, ...]


def merge(bundles: Sequence[Path], output: Path, renames: Mapping[str, str]) -> Merged:
    """Verify bundles and put them together in a new folder, whole or not at all.

    Args:
        output: the folder; must not be there, or be empty.
        renames: new labels by the file of a bundle, or by a label that only one of them has.

    Raises:
        BundleError: a bundle does not verify, or they do not go together; says why.
        StoreError: the folder is there, or cannot be written.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise StoreError(
            f"{output}: is there already. Give another folder (-o), or take it away first: merge "
            "again all bundles that belong together."
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as name:
            staging = Path(name)
            candidates, notes = _candidates(bundles, staging / "work", renames)
            done = staging / "merged"
            done.mkdir()
            for each in candidates:
                _put(each, done / each.setup)
            _combine(candidates, done)
            notes += remarks(candidates)
            _record(candidates, notes, done)
            if output.exists():
                output.rmdir()
            done.rename(output)
    except OSError as error:
        raise StoreError(f"{output}: not written, {error.strerror or error}.") from error
    count = sum(each.manifest.modalities for each in candidates)
    return Merged(output, tuple(each.setup for each in candidates), count, tuple(notes))


def _candidates(
    bundles: Sequence[Path], work: Path, renames: Mapping[str, str]
) -> tuple[list[Candidate], list[str]]:
    """The verified bundles with their labels.

    Raises:
        BundleError: see `merge`.
    """
    verified: list[Candidate] = []
    notes: list[str] = []
    for number, path in enumerate(bundles):
        folder = work / str(number)
        folder.mkdir(parents=True)
        report = verify_in(path, folder)
        if report.manifest is None or not report.verified:
            raise BundleError(f"{path}: does not verify: {'; '.join(report.problems)}")
        manifest = report.manifest
        verified.append(Candidate(report, folder / "bundle", manifest, manifest.setup))
        notes += [f"{path.name}: {note}" for note in report.notes]
    candidates, doubles = without_doubles(_renamed(verified, renames))
    reserved = {name.lower() for name in RESERVED}
    problems = [
        f"the label {each.setup} of {each.name} is the name of a file beside the set-ups. Give it "
        f"another one: --rename {each.name}=LABEL"
        for each in candidates
        if each.setup.lower() in reserved
    ]
    problems += conflicts(candidates)
    if problems:
        raise BundleError("the bundles do not go together:\n  " + "\n  ".join(problems))
    return candidates, notes + doubles


def _renamed(candidates: Sequence[Candidate], renames: Mapping[str, str]) -> list[Candidate]:
    labels: dict[int, str] = {}
    for old, new in renames.items():
        if not LABEL.fullmatch(new):
            raise BundleError(
                f"--rename {old}={new}: a label holds letters, digits, '.', '_' and '-' and begins "
                "with a letter or a digit."
            )
        files = [n for n, c in enumerate(candidates) if old in (c.name, str(c.report.path))]
        found = files or [n for n, c in enumerate(candidates) if old == c.manifest.setup]
        if len(found) != 1:
            names = ", ".join(f"{c.name} ({c.manifest.setup})" for c in candidates)
            raise BundleError(
                f"--rename {old}={new}: {old} is {'more than one' if found else 'no'} bundle of: "
                f"{names}. Name its file."
            )
        labels[found[0]] = new
    return [
        Candidate(c.report, c.folder, c.manifest, labels.get(n, c.setup))
        for n, c in enumerate(candidates)
    ]


def _put(candidate: Candidate, target: Path) -> None:
    """The folder of a set-up: what was recorded, and its tables derived under its label."""
    target.mkdir()
    for name in sorted(candidate.manifest.files):
        if kind_of(name) in KEPT:
            link_or_copy(candidate.folder / name, target / name)
    link_or_copy(candidate.folder / MANIFEST, target / MANIFEST)
    document = json.loads((candidate.folder / CONFIG).read_text(encoding="utf-8"))
    write_json(target / CONFIG, {**document, "setup": candidate.setup})
    derived = candidate.folder.parent / "tables"
    if candidate.setup == candidate.manifest.setup:
        for name in TABLES:
            link_or_copy(derived / name, target / name)
    else:
        config = config_of(candidate.folder, candidate.manifest, candidate.setup)
        derive(config, inputs_of(target, candidate.manifest), target)
    _write_parquet(target)


def _write_parquet(folder: Path) -> None:
    energy = tables.read_csv(folder / "energy.csv", tables.ENERGY_COLUMNS)
    tables.write_parquet(folder / "energy.parquet", energy)


def _combine(candidates: Sequence[Candidate], folder: Path) -> None:
    """Every table of all set-ups one below the other, cell by cell as it stands in each."""
    for name in TABLES:
        _write(folder / name, stacked([read_cells(folder / c.setup / name) for c in candidates]))
    shared = sorted({path.name for c in candidates for path in c.folder.glob("complexity*.csv")})
    for name in shared:
        paths = [c.folder / name for c in candidates if (c.folder / name).exists()]
        _write(folder / name, distinct(stacked([read_cells(path) for path in paths]), name))
    _write_parquet(folder)


def stacked(parts: Sequence[Table]) -> Table:
    """The rows of all tables, with every column that one of them has; empty where it has none."""
    columns = list(dict.fromkeys(name for part in parts for name in part.columns))
    rows = []
    for part in parts:
        place = {name: number for number, name in enumerate(part.columns)}
        rows += [
            tuple(row[place[name]] if name in place else "" for name in columns)
            for row in part.rows
        ]
    return Table(tuple(columns), tuple(rows))


def distinct(table: Table, name: str) -> Table:
    """The rows, each once; of complexity.csv one a network and quality."""
    whole = name != "complexity.csv"
    keys = [
        n for n, column in enumerate(table.columns) if whole or column in ("network", "quality")
    ]
    first: dict[tuple[str, ...], tuple[str, ...]] = {}
    for row in table.rows:
        first.setdefault(tuple(row[number] for number in keys), row)
    return Table(table.columns, tuple(first.values()))


def _write(path: Path, table: Table) -> None:
    def write(partial: Path) -> None:
        with partial.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerows([table.columns, *table.rows])

    write_with(path, write)


def _record(candidates: Sequence[Candidate], notes: Iterable[str], folder: Path) -> None:
    """What came from which bundle: setups.csv and merged.json."""
    rows = [_setup_row(candidate) for candidate in candidates]
    tables.write_csv(folder / SETUPS, tables.frame(rows, SETUP_COLUMNS))
    document = {
        "nic_energy": __version__,
        "notes": list(notes),
        "setups": [
            {**row, "publication": asdict(candidate.manifest.publication)}
            for row, candidate in zip(rows, candidates, strict=True)
        ],
    }
    write_json(folder / RECORD, document)


def _setup_row(candidate: Candidate) -> dict[str, Any]:
    manifest = candidate.manifest
    device, measured = manifest.device, manifest.measured_utc or (None, None)
    return {
        "setup": candidate.setup,
        "source": ";".join(manifest.sources),
        **asdict(manifest.publication),
        "device_name": device.name if device else None,
        "device_uuid": device.uuid if device else None,
        "driver": device.driver if device else None,
        "modalities": manifest.modalities,
        "missing": manifest.missing,
        "first_utc": measured[0],
        "last_utc": measured[1],
        "bundle": candidate.name,
        "bundle_sha256": candidate.report.sha256,
        "label_in_bundle": manifest.setup,
    }

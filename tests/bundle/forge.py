"""Bundles as somebody might change them who knows the format well."""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nic_energy.bundle.archive import unpack, write_archive
from nic_energy.bundle.manifest import Manifest
from nic_energy.traces import METADATA_KEY, TraceMeta, meta_from_document

TRACE = "traces/chain/bmshj2018-factorized/q1/small.parquet"


def forged(
    source: Path,
    target: Path,
    edit: Callable[[Path], object] = lambda folder: None,
    manifest: Callable[[Manifest], Manifest] = lambda manifest: manifest,
) -> Path:
    """A bundle with other files and another manifest, all digests right."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        known = unpack(source, folder)
        edit(folder)
        files = [path for path in folder.rglob("*") if path.is_file()]
        members = {path.relative_to(folder).as_posix(): path for path in files}
        del members["manifest.json"]
        write_archive(target, members, lambda entries: manifest(replace(known, files=entries)))
    return target


def change_cell(path: Path, line: int, column: str, change: Callable[[str], str]) -> None:
    """Change one cell of a CSV table without quoted cells; lines count from 1."""
    lines = path.read_text().splitlines()
    cells = lines[line - 1].split(",")
    place = lines[0].split(",").index(column)
    cells[place] = change(cells[place])
    lines[line - 1] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")


def change_meta(path: Path, change: Callable[[TraceMeta], TraceMeta]) -> None:
    """Change the metadata of a trace."""
    table = pq.read_table(path)
    meta = change(meta_from_document(json.loads(table.schema.metadata[METADATA_KEY])))
    document = json.dumps(dataclasses.asdict(meta), sort_keys=True)
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: document}), path)


def change_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON document."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

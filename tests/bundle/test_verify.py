import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from nic_energy import tables
from nic_energy.analysis import TABLES
from nic_energy.bundle import recorded
from nic_energy.bundle.layout import NETWORKS
from nic_energy.bundle.manifest import Manifest
from nic_energy.bundle.verify import Report, verify
from nic_energy.cli.main import main
from nic_energy.errors import BundleError
from nic_energy.files import digest_of
from nic_energy.files import sha256 as digest_of_file
from nic_energy.traces import METADATA_KEY, SAMPLE_COLUMN_NAMES, SCHEMA_VERSION, TraceMeta
from tests.bundle.campaigns import inside
from tests.bundle.conftest import Labs
from tests.bundle.forge import TRACE, change_cell, change_json, change_meta, forged


def check(labs: Labs, tmp_path: Path, edit: Callable[[Path], object]) -> Report:
    return verify(forged(labs.zip_a, tmp_path / "forged.zip", edit))


def test_a_bundle_verifies_and_says_so(labs: Labs, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["verify", str(labs.zip_a)])
    assert done.exit_code == 0, done.output
    assert "set-up lab-a, 12 modalities, joules simulated" in done.output
    assert f"{len(TABLES)} derived anew, equal to 1e-9" in done.output
    assert "not signed" in done.output
    done = CliRunner().invoke(main, ["verify", "--json", str(labs.zip_a)])
    report = json.loads(done.output)
    assert report["verified"] is True
    assert report["manifest"]["schemas"] == {
        "trace": SCHEMA_VERSION,
        "tables": tables.SCHEMA_VERSION,
    }
    assert [item["name"] for item in report["checks"]] == ["bytes", "traces", "tables"]


def test_an_honest_copy_of_the_files_is_the_bundle(labs: Labs, tmp_path: Path) -> None:
    """What the tests below change is what they are refused for."""
    path = forged(labs.zip_a, tmp_path / "forged.zip")
    assert path.read_bytes() == labs.zip_a.read_bytes()


def test_one_changed_byte_is_refused_by_name(labs: Labs, tmp_path: Path) -> None:
    data = bytearray(labs.zip_a.read_bytes())
    place = data.index(b"energy_gross_j")
    data[place] ^= 1
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    done = CliRunner().invoke(main, ["verify", str(path)])
    assert done.exit_code == BundleError.exit_code
    assert "NOT verified" in done.output
    assert "WRONG" in done.output
    assert "CRC" in done.output
    done = CliRunner().invoke(main, ["verify", "--json", str(path)])
    assert json.loads(done.stdout)["verified"] is False


@pytest.mark.parametrize(
    ("file", "line", "column", "change", "shown"),
    [
        ("energy.csv", 3, "energy_j", lambda v: repr(float(v) * (1 + 1e-7)), "energy_j: "),
        ("energy.csv", 2, "source", lambda _: "measured", "source: 'measured', derived 'simu"),
        ("energy.csv", 2, "executions", lambda v: str(int(v) + 1), "executions: "),
        ("energy_estimators.csv", 4, "idle_power_w", lambda _: "", "idle_power_w: ''"),
        ("idle.csv", 2, "idle_power_w", lambda v: f"{v}1", "idle_power_w: "),
        ("diagnostics.csv", 2, "windows", lambda _: "7", "windows: '7', derived '36'"),
        ("models/energy_models.csv", 2, "beta_j", lambda _: "0.0", "beta_j: '0.0'"),
        ("models/folds.csv", 2, "fold", lambda _: "9", "fold: '9'"),
        ("models/complexity_models.csv", 2, "slope", lambda _: "1.5", "slope: '1.5'"),
        ("models/ranking.csv", 2, "tied_with", lambda _: "x", "tied_with: 'x'"),
    ],
)
def test_a_changed_cell_of_any_table_is_named_with_row_and_column(
    labs: Labs, tmp_path: Path, file: str, line: int, column: str, change: Any, shown: str
) -> None:
    def edit(folder: Path) -> None:
        if column == "idle_power_w" and file == "idle.csv":
            change_cell(folder / file, line, column, lambda v: repr(float(v) * 1.001))
        else:
            change_cell(folder / file, line, column, change)

    (problem,) = check(labs, tmp_path, edit).problems
    assert problem.startswith(f"{file}, line {line} (")
    assert shown in problem


def test_the_last_digits_may_differ(labs: Labs, tmp_path: Path) -> None:
    def edit(folder: Path) -> None:
        change_cell(folder / "energy.csv", 3, "energy_j", lambda v: repr(float(v) * (1 + 1e-12)))

    assert check(labs, tmp_path, edit).verified


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        (lambda f: (f / "energy.csv").write_text("a,b\n1\n"), "line 2 has 1 cells"),
        (lambda f: (f / "energy.csv").write_text(""), "energy.csv: has no header line"),
        (lambda f: (f / "idle.csv").unlink(), "idle.csv: is missing"),
        (lambda f: (f / "extra.csv").write_text("a\n"), "extra.csv: is not derived"),
        (
            lambda f: (f / "missing.csv").write_text(
                (f / "missing.csv").read_text() + "lab-a,chain,net,1,image,1,lost\n"
            ),
            "missing.csv, 1 rows, derived are 0",
        ),
        (
            lambda f: (f / "missing.csv").write_text("setup,part,network,quality,image\n"),
            "column failed_attempts is missing",
        ),
        (
            lambda f: change_cell(
                f / "energy.csv", 2, "device_name", lambda _: '=HYPERLINK("//evil")'
            ),
            "would be a formula in a spreadsheet",
        ),
    ],
)
def test_a_table_that_is_not_the_derived_one_is_refused(
    labs: Labs, tmp_path: Path, edit: Callable[[Path], object], shown: str
) -> None:
    report = check(labs, tmp_path, edit)
    assert not report.verified
    assert any(shown in problem for problem in report.problems), report.problems


def meta(change: Callable[[TraceMeta], TraceMeta], name: str = TRACE) -> Callable[[Path], None]:
    return lambda folder: change_meta(folder / name, change)


def with_settings(trace: TraceMeta) -> TraceMeta:
    settings = {**trace.settings, "deterministic": False}
    return replace(trace, settings=settings, settings_digest=digest_of(settings))


@pytest.mark.parametrize(
    ("edit", "shown"),
    [
        (meta(lambda m: replace(m, source="measured")), "what meter 'virtual' reads is simulated"),
        (meta(lambda m: replace(m, outcome="failed")), "is no accepted measurement"),
        (
            meta(lambda m: replace(m, meter=replace(m.meter, device_uuid="GPU-1"))),
            "is of device 'GPU-1'",
        ),
        (meta(lambda m: replace(m, settings={})), "not those of its digest"),
        (meta(with_settings), "was measured with other settings"),
        (
            meta(lambda m: replace(m, modality=replace(m.modality, quality=2))),  # type: ignore[type-var]
            "is the trace of traces/chain/bmshj2018-factorized/q2",
        ),
        (
            meta(lambda m: replace(m, modality=replace(m.modality, network="../.."))),  # type: ignore[type-var]
            "may hold letters",
        ),
        (meta(lambda m: replace(m, schema_version="2.0")), "trace schema version 2.0"),
        (
            meta(lambda m: replace(m, outcome="failed"), "reference/idle.parquet"),
            "reference/idle.parquet: is no accepted idle",
        ),
        (lambda f: (f / TRACE).write_bytes(b"PAR1"), "cannot be read as a Parquet trace"),
        (lambda f: (f / TRACE).unlink(), "says 12 modalities and 0 missing"),
        (
            lambda f: shutil.copy(f / TRACE, f / TRACE.replace("small", "tiny")),
            "is no modality of its campaign",
        ),
        (
            lambda f: change_json(f / "reference/environment.json", device={"uuid": "GPU-2"}),
            "environment.json: is of another device",
        ),
        (
            lambda f: (f / "reference/environment.json").write_text("no"),
            "environment.json: cannot be read",
        ),
        (lambda f: change_json(f / "config.json", setup="other"), "is of set-up 'other'"),
        (lambda f: change_json(f / "config.json", seed=1), "seed is 1, the traces"),
        (lambda f: change_json(f / "config.json", colour="red"), "there is no such key"),
        (lambda f: (f / "config.json").write_text("[]"), "is no mapping"),
        (lambda f: (f / "networks.tsv").write_text("no"), "the columns must be"),
        (
            lambda f: (f / "images/index.csv").write_text(
                (f / "images/index.csv").read_text().replace("small", "../small")
            ),
            "is no id of an image",
        ),
        (
            lambda f: change_cell(f / "images/index.csv", 2, "width", lambda _: "17"),
            "the index says 17x768",
        ),
    ],
)
def test_traces_that_are_not_those_of_one_campaign_are_refused(
    labs: Labs, tmp_path: Path, edit: Callable[[Path], object], shown: str
) -> None:
    report = check(labs, tmp_path, edit)
    assert not report.verified
    assert any(shown in problem for problem in report.problems), report.problems
    assert not any(str(tmp_path) in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda m: replace(m, sources=("measured",)), "says measured, traces simulated"),
        (lambda m: replace(m, modalities=8), "says 8 modalities"),
        (lambda m: replace(m, missing=1), "1 missing"),
        (lambda m: replace(m, device=replace(m.device, uuid="GPU-3")), "the manifest of 'GPU-3'"),
        (lambda m: replace(m, settings=None), "names neither settings nor device"),
        (lambda m: replace(m, settings={**m.settings, "seed": 7}), "seed is 2023, the traces"),
        (lambda m: replace(m, setup="other"), "the manifest of 'other'"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(
    labs: Labs, tmp_path: Path, change: Callable[[Manifest], Manifest], shown: str
) -> None:
    report = verify(forged(labs.zip_a, tmp_path / "forged.zip", manifest=change))
    assert not report.verified
    assert any(shown in problem for problem in report.problems), report.problems


def swap(column: str, values: pa.Array) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        table = pq.read_table(folder / TRACE)
        filled = values.take(pa.array(np.zeros(table.num_rows, dtype=int)))
        metadata = table.schema.metadata
        if column in table.column_names:
            place = table.column_names.index(column)
            table = table.set_column(place, column, filled)
        else:
            table = table.append_column(column, filled)
        pq.write_table(table.replace_schema_metadata(metadata), folder / TRACE)

    return edit


@pytest.mark.parametrize(
    ("column", "value"), [("payload", "x" * 1000), ("power_instant_w", "text")]
)
def test_a_trace_with_a_column_that_is_none_of_a_trace_is_refused(
    labs: Labs, tmp_path: Path, column: str, value: str
) -> None:
    (problem,) = check(labs, tmp_path, swap(column, pa.array([value]))).problems
    assert f"column {column!r} of type string is none of a trace" in problem


def test_a_trace_with_too_many_samples_is_refused_before_it_is_read(
    labs: Labs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "MAX_SAMPLES", 10)
    (problem,) = verify(labs.zip_a).problems
    assert "samples, more than 10" in problem


def test_a_string_that_repeats_is_not_unpacked(
    labs: Labs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text columns of a trace are not read: in Parquet one can repeat for ever."""

    def edit(folder: Path) -> None:
        path = folder / "reference/idle.parquet"
        table = pq.read_table(path)
        text = pa.array(["x" * 100_000] * table.num_rows)
        place = table.column_names.index("kind")
        bloated = table.set_column(place, "kind", text)
        pq.write_table(bloated.replace_schema_metadata(table.schema.metadata), path)

    path = forged(labs.zip_a, tmp_path / "forged.zip", edit)
    read = pq.ParquetFile.read
    asked: list[set[str]] = []

    def spied(self: Any, *arguments: Any, columns: Any = None, **options: Any) -> Any:
        asked.append(set(self.schema_arrow.names if columns is None else columns))
        return read(self, *arguments, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read", spied)
    monkeypatch.setattr(pq, "read_table", None)
    assert verify(path).verified
    assert len(asked) == 13, "twelve traces and the idle reference"
    assert set.union(*asked) == set(SAMPLE_COLUMN_NAMES)


def test_a_trace_of_a_later_minor_version_is_read_without_what_is_new(
    labs: Labs, tmp_path: Path
) -> None:
    def edit(folder: Path) -> None:
        swap("novelty", pa.array(["text"]))(folder)
        table = pq.read_table(folder / TRACE)
        document = json.loads(table.schema.metadata[METADATA_KEY])
        document["schema_version"] = "1.999"
        document["novelty"] = document["meter"]["novelty"] = {"of": "later"}
        document["windows"][0]["novelty"] = document["modality"]["image"]["novelty"] = 1
        metadata = {METADATA_KEY: json.dumps(document)}
        pq.write_table(table.replace_schema_metadata(metadata), folder / TRACE)

    report = check(labs, tmp_path, edit)
    assert report.verified, report.problems


def test_configuration_keys_of_another_release_are_noted(labs: Labs, tmp_path: Path) -> None:
    def edit(folder: Path) -> None:
        document = json.loads((folder / "config.json").read_text())
        document["novelty"] = {"a": 1}
        document["protocol"]["novelty"] = 2
        (folder / "config.json").write_text(json.dumps(document))

    assert not check(labs, tmp_path, edit).verified
    path = forged(labs.zip_a, tmp_path / "later.zip", edit, lambda m: replace(m, nic_energy="99.0"))
    report = verify(path)
    assert report.verified, report.problems
    assert any("protocol.novelty, novelty" in note for note in report.notes), report.notes


def test_nothing_in_a_bundle_moves_the_terminal(labs: Labs, tmp_path: Path) -> None:
    path = forged(
        labs.zip_a,
        tmp_path / "forged.zip",
        lambda folder: change_json(folder / "config.json", **{"\x1b[2Jcolour": "red"}),
    )
    done = CliRunner().invoke(main, ["verify", str(path)])
    assert done.exit_code == BundleError.exit_code
    assert "\\x1b[2Jcolour: there is no such key" in done.output
    assert "\x1b" not in done.output


def test_no_code_of_a_bundle_is_imported_and_no_file_outside_is_read(
    labs: Labs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A networks table names the code of networks; a configuration names files."""
    module = tmp_path / "evil_codec.py"
    module.write_text("from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)

    def edit(folder: Path) -> None:
        table = folder / NETWORKS
        table.write_text(table.read_text().replace("compressai", "evil_codec:build"))
        change_json(folder / "config.json", networks_table="/etc/passwd", weights_dir="/etc")

    report = check(labs, tmp_path, edit)
    assert report.verified, report.problems
    assert not module.with_suffix(".ran").exists()
    assert "evil_codec" not in sys.modules


def test_columns_of_another_minor_version_are_noted(labs: Labs, tmp_path: Path) -> None:
    """Older tables lack columns, newer ones have more; what both have is compared."""

    def edit(folder: Path) -> None:
        path = folder / "diagnostics.csv"
        head, *rows = path.read_text().splitlines()
        lines = [f"{head.replace('trend_p', 'novelty')}", *rows]
        path.write_text("\n".join(lines) + "\n")

    def other(manifest: Manifest) -> Manifest:
        return replace(manifest, schemas={**manifest.schemas, "tables": "1.999"})

    assert not check(labs, tmp_path, edit).verified
    report = verify(forged(labs.zip_a, tmp_path / "other.zip", edit, other))
    assert report.verified, report.problems
    assert any("version 1.999" in note for note in report.notes)

    def wrong(folder: Path) -> None:
        change_cell(folder / "energy.csv", 2, "energy_j", lambda _: "1.0")

    assert not verify(forged(labs.zip_a, tmp_path / "wrong.zip", wrong, other)).verified


def test_tables_of_another_major_version_are_derived_and_not_compared(
    labs: Labs, tmp_path: Path
) -> None:
    def edit(folder: Path) -> None:
        (folder / "energy.csv").write_text("other,columns\n")

    def other(manifest: Manifest) -> Manifest:
        return replace(manifest, schemas={**manifest.schemas, "tables": "0.3"})

    report = verify(forged(labs.zip_a, tmp_path / "other.zip", edit, other))
    assert report.verified, report.problems
    assert any("not compared" in note for note in report.notes)


def test_nothing_stays_in_the_folder_for_temporary_files(
    labs: Labs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    verify(labs.zip_a)
    assert list(tmp_path.iterdir()) == []


def test_bundle_and_merge_for_programs(labs: Labs, tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with inside(labs.a.root):
        done = CliRunner().invoke(
            main, ["bundle", str(labs.a.folder), "-o", str(archive), "--json"]
        )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["sha256"] == digest_of_file(archive)
    assert (found["verified"], found["manifest"]["setup"]) == (True, "lab-a")
    done = CliRunner().invoke(
        main, ["merge", str(archive), "-o", str(tmp_path / "merged"), "--json"]
    )
    assert done.exit_code == 0, done.output
    merged = json.loads(done.stdout)
    assert (merged["setups"], merged["modalities"]) == (["lab-a"], 12)

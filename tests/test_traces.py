import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nic_energy.errors import StoreError
from nic_energy.traces import (
    METADATA_KEY,
    SAMPLE_COLUMNS,
    Trace,
    Window,
    read_meta,
    read_trace,
    write_trace,
)
from tests.traces import METER, idle_trace, modality_trace


def test_a_trace_comes_back_as_it_was_written(tmp_path: Path) -> None:
    trace = modality_trace()
    write_trace(tmp_path / "t.parquet", trace)
    back = read_trace(tmp_path / "t.parquet")
    assert back.meta == trace.meta
    assert back.samples.equals(trace.samples)
    assert read_meta(tmp_path / "t.parquet") == trace.meta


def test_missing_values_are_null_never_zero(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", modality_trace())
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column("temperature_c").null_count == table.num_rows
    assert np.isnan(read_trace(tmp_path / "t.parquet").column("temperature_c")).all()


def test_a_column_is_read_only_since_it_is_handed_out_again() -> None:
    trace = modality_trace()
    time = trace.column("time_s")
    assert trace.column("time_s") is time
    with pytest.raises(ValueError, match="read-only"):
        time[0] = 0.0


def test_every_column_carries_its_unit_and_meaning(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", modality_trace())
    schema = pq.read_schema(tmp_path / "t.parquet")
    for column in SAMPLE_COLUMNS:
        metadata = schema.field(column.name).metadata
        assert metadata[b"unit"].decode() == column.unit
        assert metadata[b"description"]


def test_samples_inside_a_window_are_marked(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", modality_trace())
    frame = pq.read_table(tmp_path / "t.parquet", columns=["time_s", "window"]).to_pandas()
    inside = frame[frame["window"] == 0]["time_s"]
    assert (inside.min(), inside.max()) == (105.0, 115.0)
    assert frame["window"].isna().sum() == 301 - 101 - 101


def test_idle_samples_name_their_kind_and_session(tmp_path: Path) -> None:
    write_trace(tmp_path / "i.parquet", idle_trace())
    table = pq.read_table(tmp_path / "i.parquet")
    assert set(table.column("kind").to_pylist()) == {"cold"}
    assert set(table.column("session").to_pylist()) == {"boot-none"}


def test_a_truncated_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_trace(path, modality_trace())
    path.write_bytes(path.read_bytes()[:200])
    for read in (read_meta, read_trace):
        with pytest.raises(StoreError, match=r"t\.parquet: cannot be read.*delete it and run"):
            read(path)


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "f.parquet")
    with pytest.raises(StoreError, match="not a nic-energy trace"):
        read_meta(tmp_path / "f.parquet")


def test_another_schema_version_is_refused_and_a_later_minor_one_read(tmp_path: Path) -> None:
    trace = modality_trace()
    write_trace(
        tmp_path / "a.parquet", Trace(trace.samples, replace(trace.meta, schema_version="9.0"))
    )
    with pytest.raises(StoreError, match=r"schema version 9\.0"):
        read_meta(tmp_path / "a.parquet")
    write_trace(tmp_path / "b.parquet", trace)
    table = pq.read_table(tmp_path / "b.parquet")
    document = json.loads(table.schema.metadata[METADATA_KEY])
    document |= {"schema_version": "1.9", "from_the_future": 1}
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(document).encode()})
    pq.write_table(table, tmp_path / "c.parquet")
    assert read_meta(tmp_path / "c.parquet").schema_version == "1.9"


def test_a_trace_without_a_column_is_refused(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", modality_trace())
    pq.write_table(pq.read_table(tmp_path / "t.parquet").drop(["time_s"]), tmp_path / "u.parquet")
    with pytest.raises(StoreError, match="columns missing: time_s"):
        read_trace(tmp_path / "u.parquet")


def test_a_trace_of_version_1_0_has_no_count_of_failed_readings(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", modality_trace())
    older = pq.read_table(tmp_path / "t.parquet").drop(["failed_readings"])
    pq.write_table(older, tmp_path / "u.parquet")
    back = read_trace(tmp_path / "u.parquet")
    assert back.samples.schema.names == modality_trace().samples.schema.names
    assert back.samples.column("failed_readings").null_count == back.samples.num_rows


def test_a_flagged_window_is_not_admissible() -> None:
    assert Window(0, 0.0, 5.0, 3).admissible
    assert Window(0, 0.0, 5.0, 3, ("sw_power_cap",)).admissible
    assert not Window(0, 0.0, 5.0, 3, ("window_too_short",)).admissible


def test_power_fields_are_chosen_by_name_or_preference() -> None:
    assert METER.power_field("auto").column == "power_load_w"
    with pytest.raises(KeyError):
        METER.power_field("power_rapl_w")

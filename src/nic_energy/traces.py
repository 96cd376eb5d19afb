"""The trace: raw samples of one modality (or of idle) with the marks that explain them.

One Parquet file a trace. A row is a sample; every column carries its unit in the Parquet field
metadata; everything else (windows, settings, device, session) is one JSON document under the
key `nic_energy` of the file metadata. A trace explains itself: all that comes after the
measurement can be rebuilt from it on a machine without a GPU.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from nic_energy.errors import StoreError
from nic_energy.files import atomic_path

SCHEMA_VERSION = "1.1"
METADATA_KEY = b"nic_energy"

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """A sample column: its name, Arrow type, unit ("" = none) and meaning."""

    name: str
    type: pa.DataType
    unit: str
    description: str


SAMPLE_COLUMNS: tuple[Column, ...] = (
    Column("time_s", pa.float64(), "s", "CLOCK_MONOTONIC at the middle of the reading"),
    Column("read_duration_s", pa.float64(), "s", "how long the reading took"),
    Column("wall_time_s", pa.float64(), "s", "Unix time at the middle of the reading"),
    Column("power_instant_w", pa.float64(), "W", "NVML field 186, current power"),
    Column("power_average_w", pa.float64(), "W", "NVML field 185, 1 s moving average"),
    Column("power_legacy_w", pa.float64(), "W", "nvmlDeviceGetPowerUsage"),
    Column("power_rapl_w", pa.float64(), "W", "RAPL counter difference since the last sample"),
    Column("power_load_w", pa.float64(), "W", "estimate from processor load since the last sample"),
    Column("energy_counter_j", pa.float64(), "J", "cumulative energy counter of the meter"),
    Column("power_instant_time_us", pa.int64(), "us", "time stamp that NVML gives field 186"),
    Column("power_average_time_us", pa.int64(), "us", "time stamp that NVML gives field 185"),
    Column("temperature_c", pa.float64(), "degC", "GPU core temperature"),
    Column("utilization_percent", pa.float64(), "%", "GPU utilisation, or processor load"),
    Column("memory_utilization_percent", pa.float64(), "%", "GPU memory utilisation"),
    Column("sm_clock_mhz", pa.float64(), "MHz", "SM clock"),
    Column("memory_clock_mhz", pa.float64(), "MHz", "memory clock"),
    Column("performance_state", pa.int16(), "", "performance state, 0 = P0 = fastest"),
    Column("throttle_reasons", pa.int64(), "", "NVML clocks event reasons, a bit mask"),
    Column("memory_used_bytes", pa.int64(), "B", "device memory in use"),
    Column("compute_processes", pa.int64(), "", "compute processes on the GPU, once a second"),
    Column("throttle_power_cap_ns", pa.int64(), "ns", "NVML field 74, cumulative"),
    Column("throttle_thermal_policy_ns", pa.int64(), "ns", "NVML field 75, cumulative"),
    Column("throttle_sw_thermal_ns", pa.int64(), "ns", "NVML field 269, cumulative"),
    Column("throttle_hw_thermal_ns", pa.int64(), "ns", "NVML field 270, cumulative"),
    Column("throttle_power_brake_ns", pa.int64(), "ns", "NVML field 271, cumulative"),
    Column(
        "failed_readings",
        pa.int64(),
        "",
        "readings of power and energy that NVML failed to give and that are null",
    ),
)
SAMPLE_COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in SAMPLE_COLUMNS)
LATER_COLUMNS = frozenset({"failed_readings"})
"""Columns that version 1.0 had not; null where a trace has none."""

Sample = Mapping[str, float | int | None]
"""One reading: column name to value; a value that the device does not offer is None, never 0."""


@dataclass(frozen=True)
class PowerField:
    """A power column that the meter fills, and how its values come about.

    `kind` is `instant` (power now), `average` (moving average over `averaging_window_s`) or
    `interval_mean` (mean since the previous sample). `lag_s` is how far the value trails its
    time stamp where that is known: half the averaging window for a moving average. A new value
    comes every `update_period_s`. Figures are measured where the sensor has a passport, else
    those documented.
    """

    column: str
    kind: Literal["instant", "average", "interval_mean"]
    averaging_window_s: float | None = None
    lag_s: float | None = None
    update_period_s: float | None = None


@dataclass(frozen=True)
class MeterInfo:
    """What was metered, by what, and which columns hold power.

    `power_fields` are in order of preference: the first is the default choice. `counter` says
    whether `energy_counter_j` is filled.
    """

    meter: str
    source: str
    device_name: str
    device_uuid: str
    driver: str
    power_fields: tuple[PowerField, ...]
    counter: bool
    temperature: bool
    slowdown_temperature_c: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def power_field(self, column: str) -> PowerField:
        """The field of that column name; "auto" is the preferred one.

        Raises:
            KeyError: the meter has no such field.
        """
        for candidate in self.power_fields:
            if column in ("auto", candidate.column):
                return candidate
        raise KeyError(column)


@dataclass(frozen=True)
class Window:
    """One measurement window: M executions back to back between two device synchronisations.

    `start_s` and `end_s` are CLOCK_MONOTONIC. `flags` name what is wrong with the window; one
    with flags in `INADMISSIBLE` is kept here and left out of the mean.
    """

    index: int
    start_s: float
    end_s: float
    executions: int
    flags: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length of the window in s."""
        return self.end_s - self.start_s

    @property
    def admissible(self) -> bool:
        """Whether the window enters the mean."""
        return not INADMISSIBLE.intersection(self.flags)


INADMISSIBLE = frozenset(
    {
        "clock_changed",
        "clock_step",
        "counter_reset",
        "failed_readings",
        "implausible_readings",
        "other_processes",
        "performance_state_changed",
        "sampler_gap",
        "stale_readings",
        "temperature_outside_band",
        "throttled",
        "too_few_samples",
        "window_too_short",
    }
)
"""Window flags that keep a window out of the mean; any other only says what was."""


@dataclass(frozen=True)
class Interval:
    """A marked stretch of the trace that is not a window (preheat, lead_in, idle, wave_on).

    A rest whose readings cannot be right is kept as `idle_rejected`.
    """

    phase: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class ImageInfo:
    """The image of a modality; `pixels` is S of Eq. (2), without padding."""

    image: str
    sha256: str
    width: int
    height: int
    padded_width: int
    padded_height: int

    @property
    def pixels(self) -> int:
        """S of Eq. (2): width times height, unpadded."""
        return self.width * self.height

    @property
    def padded_pixels(self) -> int:
        """What the network really processes."""
        return self.padded_width * self.padded_height


@dataclass(frozen=True)
class Modality:
    """What ran: part of the codec, network, quality, level, image."""

    part: str
    network: str
    quality: int
    level: str
    image: ImageInfo


@dataclass(frozen=True)
class TraceMeta:
    """Everything about a trace that is not a sample.

    `settings` are the run settings that can change a measured number; `settings_digest` is
    their digest. `idle_power_w` holds the mean idle power per power column (and under
    `energy_counter_j` that of the counter) that the stopping rule used. `outcome` is `accepted`
    or `failed`; a failed attempt says why in `error`. `run` holds what the settings left open as
    it was: the run settings as read back, the sampling rate.
    """

    kind: Literal["modality", "idle", "passport"]
    outcome: Literal["accepted", "failed"]
    setup: str
    source: str
    session: str
    created_utc: str
    settings: Mapping[str, Any]
    settings_digest: str
    code_fingerprint: str
    meter: MeterInfo
    modality: Modality | None = None
    windows: tuple[Window, ...] = ()
    intervals: tuple[Interval, ...] = ()
    idle_kind: str | None = None
    idle_power_w: Mapping[str, float] = field(default_factory=dict)
    preheat: Mapping[str, Any] = field(default_factory=dict)
    stopping: Mapping[str, Any] = field(default_factory=dict)
    sampler: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    bpp: float | None = None
    psnr_db: float | None = None
    flags: tuple[str, ...] = ()
    error: str | None = None
    schema_version: str = SCHEMA_VERSION

    @property
    def sampling_hz(self) -> float:
        """Samples per second: as resolved when the trace was measured, else of the settings."""
        return float(self.run.get("sampling_hz") or self.settings["protocol"]["sampling_hz"])


@dataclass(frozen=True)
class Trace:
    """Samples and metadata. `samples` has the columns of `SAMPLE_COLUMNS`, in time order."""

    samples: pa.Table
    meta: TraceMeta
    _columns: dict[str, FloatArray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def column(self, name: str) -> FloatArray:
        """A sample column as float64, shape (samples,), read-only; missing values are NaN."""
        if name not in self._columns:
            values = self.samples.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
            column = np.asarray(values, dtype=float)
            column.flags.writeable = False
            self._columns[name] = column
        return self._columns[name]


def samples_table(samples: Sequence[Sample]) -> pa.Table:
    """Build the sample table of a trace from readings; missing keys become null."""
    arrays = [
        pa.array([sample.get(column.name) for sample in samples], type=column.type)
        for column in SAMPLE_COLUMNS
    ]
    return pa.table(arrays, schema=sample_schema())


def sample_schema() -> pa.Schema:
    """Arrow schema of the sample columns, units and descriptions in the field metadata."""
    return pa.schema(
        [
            pa.field(
                column.name,
                column.type,
                metadata={"unit": column.unit, "description": column.description},
            )
            for column in SAMPLE_COLUMNS
        ]
    )


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace, whole or not at all.

    A column `window` (null outside the windows) is added to the samples, for reading by eye;
    idle traces get the columns `kind` and `session` instead.

    Raises:
        StoreError: the file could not be written.
    """
    document = json.dumps(dataclasses.asdict(trace.meta), sort_keys=True)
    table = _annotated(trace)
    table = table.replace_schema_metadata({METADATA_KEY: document.encode()})
    with atomic_path(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def _annotated(trace: Trace) -> pa.Table:
    table, count = trace.samples, trace.samples.num_rows
    if trace.meta.kind == "idle":
        for name, value in (("kind", trace.meta.idle_kind), ("session", trace.meta.session)):
            table = table.append_column(name, pa.array([value] * count, type=pa.string()))
        return table
    time_s = trace.column("time_s")
    window: list[int | None] = [None] * count
    for mark in trace.meta.windows:
        inside = np.flatnonzero((time_s >= mark.start_s) & (time_s <= mark.end_s))
        for row in inside:
            window[row] = mark.index
    return table.append_column("window", pa.array(window, type=pa.int32()))


def read_meta(path: Path) -> TraceMeta:
    """Read only the metadata of a trace.

    Raises:
        StoreError: the file is no trace, is truncated, or has another schema version.
    """
    return _rebuilt(path, read_document(path))


def read_document(path: Path) -> dict[str, Any]:
    """Read only the metadata of a trace, as the JSON document that they are: for thousands of
    traces of which a key or two matter.

    Raises:
        StoreError: the file is no trace, is truncated, or has another schema version.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise StoreError(_unreadable(path, error)) from error
    return _document_of(path, metadata)


def read_trace(path: Path, without: Collection[str] = ()) -> Trace:
    """Read a trace.

    Args:
        without: sample columns that are left out, which is faster; the trace has none of them.

    Raises:
        StoreError: the file is no trace, is truncated, or has another schema version.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            meta = _rebuilt(path, _document_of(path, file.schema_arrow.metadata or {}))
            names = set(file.schema_arrow.names)
            missing = set(SAMPLE_COLUMN_NAMES) - names
            if missing - LATER_COLUMNS:
                raise StoreError(
                    f"{path}: not a whole trace, columns missing: {', '.join(sorted(missing))}."
                )
            # Threads cost more than they save on a file of a few thousand samples.
            wanted = [name for name in SAMPLE_COLUMN_NAMES if name not in without]
            table = file.read(columns=[n for n in wanted if n in names], use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(_unreadable(path, error)) from error
    for column in SAMPLE_COLUMNS:
        if column.name in missing:
            table = table.append_column(column.name, pa.nulls(table.num_rows, column.type))
    return Trace(table.select(wanted), meta)


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{path}: this user may not read it. Change its owner or permissions (chown, chmod)."
    return (
        f"{path}: cannot be read as a Parquet trace ({error}). If it is truncated, delete it and "
        "run again: an accepted attempt that is whole in the raw store is linked, not measured "
        "again."
    )


def _document_of(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    if METADATA_KEY not in metadata:
        raise StoreError(f"{path}: not a nic-energy trace (no `nic_energy` metadata).")
    try:
        document: dict[str, Any] = json.loads(metadata[METADATA_KEY])
        version = str(document.get("schema_version"))
    except (ValueError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path}: its `nic_energy` metadata are damaged ({error}).") from error
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise StoreError(
            f"{path}: trace schema version {version}, but this nic-energy reads "
            f"{SCHEMA_VERSION}. Use the release that wrote it."
        )
    return document


def _rebuilt(path: Path, document: Mapping[str, Any]) -> TraceMeta:
    try:
        return meta_from_document(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{path}: its `nic_energy` metadata are not those of a trace ({error!r})."
        ) from error


def meta_from_document(document: Mapping[str, Any]) -> TraceMeta:
    """Rebuild the metadata from its JSON document; unknown keys of later versions are ignored."""
    values = _known(TraceMeta, document)
    meter = _known(MeterInfo, values["meter"])
    meter["power_fields"] = tuple(
        PowerField(**_known(PowerField, item)) for item in meter["power_fields"]
    )
    values["meter"] = MeterInfo(**meter)
    if values.get("modality"):
        modality = _known(Modality, values["modality"])
        modality["image"] = ImageInfo(**_known(ImageInfo, modality["image"]))
        values["modality"] = Modality(**modality)
    values["windows"] = tuple(
        Window(**{**_known(Window, item), "flags": tuple(item["flags"])})
        for item in values.get("windows", ())
    )
    values["intervals"] = tuple(
        Interval(**_known(Interval, item)) for item in values.get("intervals", ())
    )
    values["flags"] = tuple(values.get("flags", ()))
    return TraceMeta(**values)


def _known(record: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are fields of the record."""
    return {name: values[name] for name in _field_names(record) if name in values}


@lru_cache
def _field_names(record: type) -> tuple[str, ...]:
    """Asked for thousands of times where a campaign is read."""
    return tuple(field.name for field in dataclasses.fields(record))

"""Measure the idle reference of a set-up and describe its environment."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nic_energy import fingerprint
from nic_energy.config.settings import resolved
from nic_energy.energy.admissibility import columns_of, rest_flags
from nic_energy.energy.idle import idle_power_w
from nic_energy.errors import MeasurementError
from nic_energy.files import digest_of, write_json
from nic_energy.interrupts import allowed, held
from nic_energy.measure.backends import open_backend
from nic_energy.measure.device import Backend, RunningSampler, stopped
from nic_energy.measure.environment import describe, session_of
from nic_energy.measure.neighbours import Machine, measuring
from nic_energy.protocol.idle import record_idle
from nic_energy.session import utc_now
from nic_energy.store import Attempt, Identity, RawStore
from nic_energy.traces import Interval, MeterInfo, Sample, Trace, TraceMeta, samples_table
from nic_energy.worker.registry import clear_device

log = logging.getLogger(__name__)

KEY = "idle"
TRIES = 3


@dataclass(frozen=True)
class IdleRequest:
    """`settings` are `Config.idle_settings()`, `run_settings` those of `Config.settings()`."""

    setup: str
    setup_folder: Path
    settings: Mapping[str, Any]
    run_settings: Mapping[str, Any]
    output: Path
    environment: Path
    fresh: bool = False
    neighbours: str = "wait"


def measure_idle(request: IdleRequest) -> TraceMeta:
    """Record the idle reference (paper, section 3) and write environment.json.

    It is recorded before any network or context is on the device. An accepted reference of the
    same session, settings and code is linked again. One whose readings cannot be right is kept
    as failed and recorded again, up to `TRIES` times in all.

    Raises:
        MismatchError: the set-up is bound to another device.
        MeasurementError: no try was sound.
        NicEnergyError, InterruptedMeasurementError: what failed, with the attempt kept.
    """
    store = RawStore(request.setup_folder)
    store.require_room()
    # The passport comes after idle, so what is left to it is the paper's here.
    run_settings = resolved(request.run_settings, {})
    backend = open_backend(run_settings, request.setup_folder, cold=True)
    try:
        attempt, meta = _reference(request, store, backend, run_settings)
    finally:
        backend.close()
    settings = backend.run_settings()
    with held():
        write_json(request.environment, describe(meta.meter, meta.session, settings))
        store.publish(attempt, request.output)
    return meta


def _reference(
    request: IdleRequest, store: RawStore, backend: Backend, run_settings: Mapping[str, Any]
) -> tuple[Path, TraceMeta]:
    """The accepted attempt and its metadata; recorded where there is none."""
    hz = float(run_settings["protocol"]["sampling_hz"])
    for _ in range(TRIES):
        with held():
            found, record = _find_or_record(request, store, backend, hz)
            if found is not None:
                log.info("the idle reference of this session is linked, not recorded again")
                return found.path, found.meta
            trace = with_idle_power(record.trace(request))
            attempt = store.add(KEY, trace)
            if record.error is not None:
                log.error("the failed attempt is kept as %s", attempt)
                raise record.error
        if not record.flags:
            return attempt, trace.meta
        log.warning("idle reference left out: %s (%s)", ", ".join(record.flags), attempt)
    raise MeasurementError(
        f"idle reference: {TRIES} in a row were not sound ({', '.join(record.flags)}). "
        "docs/faults.md says what each means and what to do; all are kept in the raw store."
    )


@dataclass
class _Record:
    """An attempt at the reference; `flags` say why its readings cannot be right."""

    meter: MeterInfo
    identity: Identity
    hz: float
    samples: list[Sample] = field(default_factory=list)
    intervals: tuple[Interval, ...] = ()
    settled: bool = False
    flags: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    error: BaseException | None = None
    sampler: dict[str, Any] = field(default_factory=dict)

    def trace(self, request: IdleRequest) -> Trace:
        """The trace of the attempt, without its idle power."""
        error = None if self.error is None else f"{type(self.error).__name__}: {self.error}"
        if self.flags:
            error = f"MeasurementError: not sound ({', '.join(self.flags)})"
        meta = TraceMeta(
            kind="idle",
            outcome="accepted" if error is None else "failed",
            setup=request.setup,
            source=self.meter.source,
            session=str(self.identity.session),
            created_utc=utc_now(),
            settings=dict(request.settings),
            settings_digest=self.identity.settings_digest,
            code_fingerprint=self.identity.code_fingerprint,
            meter=self.meter,
            intervals=self.intervals,
            idle_kind="cold",
            sampler=self.sampler,
            run={
                "settled": self.settled,
                "sampling_hz": self.hz,
                **({"neighbours": list(self.neighbours)} if self.neighbours else {}),
            },
            flags=(
                *(() if self.settled or error else ("idle_not_settled",)),
                *(("idle_neighbour_measured",) if self.neighbours else ()),
            ),
            error=error,
        )
        return Trace(samples_table(self.samples), meta)


def _find_or_record(
    request: IdleRequest, store: RawStore, backend: Backend, hz: float
) -> tuple[Attempt | None, _Record]:
    """An accepted attempt that stands in, if there is one, else a new record; an error ends that
    and is handed back in it, with what was recorded.
    """
    sampler = backend.sampler()
    with allowed():
        meter = sampler.start()
    identity = Identity(
        digest_of(request.settings),
        fingerprint.of_idle(request.settings["meter"]),
        session=session_of(meter),
    )
    record = _Record(meter, identity, hz)
    try:
        store.check_device(meter.device_uuid)
        found = None if request.fresh else store.find(KEY, identity)
        if found is None:
            try:
                clear_device(meter.device_uuid)
                machine = Machine.of(request.settings["device"], request.setup_folder.parent)
                with (
                    allowed(),
                    measuring(meter.device_uuid, machine, request.neighbours) as beside,
                ):
                    _record(request, backend, sampler, record)
                record.neighbours = tuple(sorted(beside.seen))
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - raised once kept
                record.error = error
    finally:
        record.sampler = stopped(sampler)
    return found, record


def _record(
    request: IdleRequest, backend: Backend, sampler: RunningSampler, record: _Record
) -> None:
    protocol, power = request.settings["protocol"], record.meter.power_field("auto")
    try:
        done = record_idle(
            backend.clock,
            sampler,
            power.column,
            float(protocol["idle_s"]),
            float(protocol["idle_settle_max_s"]),
            record.hz,
            record.samples,
        )
    except KeyboardInterrupt:
        record.samples.extend(sampler.collect())
        raise
    record.intervals, record.settled = done.intervals, done.settled
    idle = done.intervals[-1]
    limit_w = record.meter.details.get("enforced_power_limit_w")
    samples = columns_of(record.samples)
    record.flags = rest_flags(samples, idle.start_s, idle.end_s, power, record.hz, limit_w)


def with_idle_power(trace: Trace) -> Trace:
    """The idle trace with its mean power per column in the metadata, for the stopping rule."""
    return Trace(trace.samples, replace(trace.meta, idle_power_w=idle_power_w(trace)))

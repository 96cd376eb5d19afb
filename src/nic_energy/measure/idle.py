"""Measure the idle reference of a set-up and describe its environment."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nic_energy import fingerprint
from nic_energy.config.settings import resolved
from nic_energy.energy.idle import idle_power_w
from nic_energy.files import digest_of, write_json
from nic_energy.measure.backends import open_backend
from nic_energy.measure.environment import describe, session_of
from nic_energy.measure.lock import device_lock
from nic_energy.protocol.idle import record_idle
from nic_energy.session import utc_now
from nic_energy.store import Identity, RawStore
from nic_energy.traces import Trace, TraceMeta, samples_table
from nic_energy.worker.registry import clear_device

log = logging.getLogger(__name__)

KEY = "idle"


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


def measure_idle(request: IdleRequest) -> TraceMeta:
    """Record the idle reference (paper, section 3) and write environment.json.

    It is recorded before any network or context is on the device. An accepted reference of the
    same session, settings and code is linked again.

    Raises:
        MismatchError: the set-up is bound to another device.
    """
    store = RawStore(request.setup_folder)
    settings = request.settings
    # The passport comes after idle, so what is left to it is the paper's here.
    run_settings = resolved(request.run_settings, {})
    sampling_hz = float(run_settings["protocol"]["sampling_hz"])
    backend = open_backend(run_settings, request.setup_folder, cold=True)
    sampler = backend.sampler()
    meter = sampler.start()
    try:
        store.check_device(meter.device_uuid)
        session = session_of(meter)
        identity = Identity(
            digest_of(settings), fingerprint.of_idle(settings["meter"]), session=session
        )
        found = None if request.fresh else store.find(KEY, identity)
        if found is None:
            clear_device(meter.device_uuid)
            with device_lock(meter.device_uuid):
                record = record_idle(
                    backend.clock,
                    sampler,
                    meter.power_field("auto").column,
                    float(settings["protocol"]["idle_s"]),
                    float(settings["protocol"]["idle_settle_max_s"]),
                    sampling_hz,
                )
    finally:
        report = sampler.stop()
        backend.close()
    if found is None:
        trace = Trace(
            samples_table(record.samples),
            TraceMeta(
                kind="idle",
                outcome="accepted",
                setup=request.setup,
                source=meter.source,
                session=session,
                created_utc=utc_now(),
                settings=dict(settings),
                settings_digest=identity.settings_digest,
                code_fingerprint=identity.code_fingerprint,
                meter=meter,
                intervals=record.intervals,
                idle_kind="cold",
                sampler=asdict(report),
                run={"settled": record.settled, "sampling_hz": sampling_hz},
                flags=() if record.settled else ("idle_not_settled",),
            ),
        )
        trace = with_idle_power(trace)
        attempt, meta = store.add(KEY, trace), trace.meta
    else:
        attempt, meta = found.path, found.meta
        log.info("the idle reference of this session is linked, not recorded again: %s", attempt)
    write_json(request.environment, describe(meter, session, backend.run_settings()))
    store.publish(attempt, request.output)
    return meta


def with_idle_power(trace: Trace) -> Trace:
    """The idle trace with its mean power per column in the metadata, for the stopping rule."""
    return Trace(trace.samples, replace(trace.meta, idle_power_w=idle_power_w(trace)))

"""Measure the passport of a set-up's power sensor, and use it."""

import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nic_energy import fingerprint
from nic_energy.config.settings import resolved
from nic_energy.energy.passport import Passport, as_document, from_document, passport_of
from nic_energy.errors import ConfigError, MismatchError, StoreError
from nic_energy.files import digest_of, write_json
from nic_energy.interrupts import allowed, held
from nic_energy.measure.backends import open_backend
from nic_energy.measure.device import Backend, stopped
from nic_energy.measure.environment import session_of
from nic_energy.measure.neighbours import Machine, measuring
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.passport import WaveRule, record_wave
from nic_energy.protocol.repetitions import time_execution
from nic_energy.session import utc_now
from nic_energy.store import Attempt, Identity, RawStore
from nic_energy.traces import MeterInfo, Trace, TraceMeta, read_trace, samples_table
from nic_energy.worker.registry import clear_device

log = logging.getLogger(__name__)

KEY = "passport"
POLLING_HZ = 400.0
"""Fast enough for the fastest sensors known, which update every 20 ms over windows of 10 ms."""

TIMED_S = 0.5
METERS = ("nvml", "virtual")


@dataclass(frozen=True)
class PassportRequest:
    """`settings` are `Config.passport_settings()`, `run_settings` those of `Config.settings()`.

    `fresh` records even where an equal accepted attempt lies in the raw store.
    """

    setup: str
    setup_folder: Path
    settings: Mapping[str, Any]
    run_settings: Mapping[str, Any]
    output: Path
    fresh: bool = False
    neighbours: str = "wait"


def measure_passport(request: PassportRequest) -> Passport:
    """Record a square wave of load, unless one of this GPU and driver is there, and write
    passport.json from it.

    Raises:
        ConfigError: the meter has no sensor that could be measured.
        MismatchError: the set-up is bound to another device.
    """
    settings = request.settings
    if settings["meter"] not in METERS or settings["device"] == "cpu":
        raise ConfigError(
            f"passport: meter {settings['meter']} on device {settings['device']} has no power "
            "sensor that a load could be switched for; there is nothing to measure."
        )
    store = RawStore(request.setup_folder)
    store.require_room()
    identity = Identity(digest_of(settings), fingerprint.of_passport(settings["meter"]))
    fast = {"protocol": {**request.run_settings["protocol"], "sampling_hz": POLLING_HZ}}
    with contextlib.ExitStack() as stack:
        machine = Machine.of(settings["device"], request.setup_folder.parent)

        def have_alone(uuid: str) -> None:
            stack.enter_context(measuring(uuid, machine, request.neighbours))
            clear_device(uuid)

        # A context of a process that only waits would disturb the one that measures.
        bound = store.bound()
        if bound is not None:
            have_alone(bound.device_uuid)
        backend = open_backend({**request.run_settings, **fast}, request.setup_folder)
        stack.callback(backend.close)
        if bound is None:
            have_alone(backend.device_uuid() or request.setup)
        with held():
            attempt = _attempt(request, store, identity, backend)
    trace = read_trace(attempt)
    passport = passport_of(trace)
    write_json(request.output, _document(trace.meta, passport))
    return passport


def _attempt(
    request: PassportRequest, store: RawStore, identity: Identity, backend: Backend
) -> Path:
    """The accepted attempt of this GPU and driver; recorded where there is none.

    A failed record is kept with the reason.
    """
    sampler = backend.sampler()
    with allowed():
        meter = sampler.start()
    meta = TraceMeta(
        kind="passport",
        outcome="failed",
        setup=request.setup,
        source=meter.source,
        session=session_of(meter),
        created_utc=utc_now(),
        settings=dict(request.settings),
        settings_digest=identity.settings_digest,
        code_fingerprint=identity.code_fingerprint,
        meter=meter,
        run={"sampling_hz": POLLING_HZ},
    )
    bench: Bench | None = None
    error: BaseException | None = None
    try:
        store.check_device(meter.device_uuid)
        found = None if request.fresh else _known(store, identity, meter)
        if found is not None:
            log.info("the passport of this GPU and driver is not recorded again: %s", found.path)
            return found.path
        with allowed():
            bench = Bench(backend.clock, sampler, backend.burn(), meter, POLLING_HZ)
            meta = _record(bench, meta)
    except (Exception, KeyboardInterrupt) as failure:  # noqa: BLE001 - raised once it is kept
        error = failure
    finally:
        report = stopped(sampler)
    if error is not None and bench is None:
        raise error
    said = None if error is None else f"{type(error).__name__}: {error}"
    samples = bench.history if bench is not None else []
    kept = store.add(KEY, Trace(samples_table(samples), replace(meta, sampler=report, error=said)))
    if error is not None:
        log.error("the failed record is kept as %s", kept)
        raise error
    return kept


def _record(bench: Bench, meta: TraceMeta) -> TraceMeta:
    execution_s = time_execution(bench, TIMED_S)
    bench.drain()
    bench.history.clear()
    seed = int(digest_of([meta.settings["seed"], KEY]), 16)
    marks = record_wave(bench, WaveRule(), execution_s, seed)
    return replace(meta, outcome="accepted", intervals=marks)


def _known(store: RawStore, identity: Identity, meter: MeterInfo) -> Attempt | None:
    """An accepted record of the same GPU and driver; a reboot does not change a sensor."""
    wanted = (meter.device_uuid, meter.driver)
    return next(
        (
            attempt
            for attempt in store.attempts(KEY)
            if identity.matches(attempt.meta)
            and (attempt.meta.meter.device_uuid, attempt.meta.meter.driver) == wanted
        ),
        None,
    )


def _document(meta: TraceMeta, passport: Passport) -> dict[str, Any]:
    return {
        "setup": meta.setup,
        "source": meta.source,
        "created_utc": meta.created_utc,
        "session": meta.session,
        "device_name": meta.meter.device_name,
        "device_uuid": meta.meter.device_uuid,
        "driver": meta.meter.driver,
        "settings_digest": meta.settings_digest,
        "code_fingerprint": meta.code_fingerprint,
        **as_document(passport),
    }


@dataclass(frozen=True)
class KnownSensor:
    """A passport as a measurement uses it, or that there is none.

    `origin` says where and when it was measured, for the trace.
    """

    passport: Passport | None = None
    origin: Mapping[str, str] | None = None

    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The run settings with the passport's numbers where they say `auto`."""
        choice = {} if self.passport is None else asdict(self.passport.choice)
        return resolved(settings, choice)

    def meter(self, meter: MeterInfo) -> MeterInfo:
        """The meter with its measured figures, the chosen power field first.

        Raises:
            MismatchError: the passport is another device's.
        """
        if self.passport is None or self.origin is None:
            return meter
        if self.origin["device_uuid"] != meter.device_uuid:
            raise MismatchError(
                f"passport.json is that of {self.origin['device_uuid']}, but this is "
                f"{meter.device_name} ({meter.device_uuid}). A set-up is one device: use another "
                "`setup` label, or choose the right device."
            )
        return self.passport.applied_to(meter)

    def flags(self, meter: MeterInfo) -> tuple[str, ...]:
        """What is to be said of the trace: the driver is not that of the passport."""
        same = self.origin is None or self.origin["driver"] == meter.driver
        return () if same else ("passport_driver_differs",)


def known_sensor(path: Path | None) -> KnownSensor:
    """The sensor of a passport.json; one of which only the documentation is known without it.

    Raises:
        StoreError: the file is no passport.
    """
    if path is None:
        return KnownSensor()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        origin = {key: document[key] for key in ("device_uuid", "driver", "session", "created_utc")}
        return KnownSensor(from_document(document), origin)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: is no sensor passport ({error}). Write it anew: --forcerun measure_passport."
        ) from error

"""Measure one modality, or link the accepted attempt that equals it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nic_energy import fingerprint
from nic_energy.config import Network
from nic_energy.config.settings import is_open
from nic_energy.energy.admissibility import Limits
from nic_energy.errors import (
    ConfigError,
    CudaError,
    InputError,
    MeasurementError,
    MeterError,
    NicEnergyError,
    StoreError,
)
from nic_energy.files import digest_of, sha256
from nic_energy.interrupts import allowed, held
from nic_energy.measure import reference
from nic_energy.measure.device import Backend, LoadedModality, LoadRequest, stopped
from nic_energy.measure.environment import package_versions, session_of
from nic_energy.measure.neighbours import Beside, Machine, measuring
from nic_energy.measure.passport import known_sensor
from nic_energy.measure.workshop import Workshop
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.idle import record_rest
from nic_energy.protocol.preheat import PreheatRule, preheat
from nic_energy.protocol.repetitions import (
    Progress,
    RepetitionError,
    WindowRule,
    repeat,
    time_execution,
)
from nic_energy.session import utc_now
from nic_energy.statistics.stopping import StoppingRule
from nic_energy.store import Identity, RawStore, modality_key
from nic_energy.traces import (
    Interval,
    MeterInfo,
    Modality,
    PowerField,
    Trace,
    TraceMeta,
    read_meta,
    samples_table,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasureRequest:
    """What to measure and where the result goes.

    `settings` are `Config.settings()`; `idle` is the idle reference's trace; `output` the trace
    path of the contract; `fresh` measures even where an equal accepted attempt lies in the raw
    store. `passport` is the sensor's, None to go by what is documented. `idle_kind` is what will
    be subtracted: a warm worker records idle with the network resident only where it is that.
    `neighbours` is what to do while another device of the machine is being measured.
    """

    setup: str
    setup_folder: Path
    part: str
    network: Network
    quality: int
    image: str
    image_path: Path
    settings: Mapping[str, Any]
    power_field: str
    idle: Path
    output: Path
    weights_dir: Path | None = None
    fresh: bool = False
    passport: Path | None = None
    idle_kind: str = "cold"
    neighbours: str = "wait"

    @property
    def key(self) -> str:
        """Key of the modality in the raw store."""
        return modality_key(self.part, self.network.network, self.quality, self.image)


@dataclass(frozen=True)
class Outcome:
    """The attempt that stands at `output` now; `linked` says that it was not measured anew."""

    attempt: Path
    linked: bool
    meta: TraceMeta


def measure_modality(
    request: MeasureRequest,
    report: Callable[[Progress], None] = lambda _: None,
    workshop: Workshop | None = None,
    publish: bool = True,
) -> Outcome:
    """Measure a modality by the protocol (paper, section 3) and publish its trace.

    Every attempt that got as far as a device is kept in the raw store, a failed one with the
    reason. A signal to stop waits while an attempt is put away.

    Args:
        report: called after every window.
        workshop: where the device is; opened for this modality alone without one.
        publish: link the accepted attempt to `output`; a worker leaves that to its client.

    Raises:
        NicEnergyError: what failed, with the attempt kept.
        InterruptedMeasurementError: a signal; a finished attempt is kept as such.
    """
    store = RawStore(request.setup_folder)
    image_sha256 = _digest_of(request.image_path)
    identity = Identity(
        settings_digest=digest_of(request.settings),
        code_fingerprint=fingerprint.of_measurement(request.settings["meter"]),
        image_sha256=image_sha256,
        network=fingerprint.of_network(request.network),
    )
    found = None if request.fresh else store.find(request.key, identity)
    if found is not None:
        if publish:
            store.publish(found.path, request.output)
        return Outcome(found.path, True, found.meta)
    store.require_room()
    with held():
        ended = _Attempt(request, identity, image_sha256, workshop or Workshop()).run(report)
        attempt = _put_away(store, request, ended, publish)
        if ended.error is not None:
            raise ended.error
    return Outcome(attempt, False, ended.trace.meta)


def _digest_of(image: Path) -> str:
    try:
        return sha256(image)
    except OSError as error:
        raise InputError(
            f"{image}: the image cannot be read ({error.strerror}). Prepare it again "
            "(--forcerun prepare_image), or make it readable for this user."
        ) from error


@dataclass(frozen=True)
class _Ended:
    trace: Trace
    error: BaseException | None


def _put_away(store: RawStore, request: MeasureRequest, ended: _Ended, publish: bool) -> Path:
    """Keep the attempt, and publish it if it was accepted, whatever came after that."""
    log.info("writing the attempt")
    try:
        attempt = store.add(request.key, ended.trace)
    except StoreError:
        if ended.error is not None:
            log.error("the attempt failed, and is lost too: %s", ended.error)
        raise
    if ended.trace.meta.outcome == "accepted":
        if publish:
            log.info("linking %s", attempt)
            store.publish(attempt, request.output)
    else:
        log.error("the failed attempt is kept as %s", attempt)
    return attempt


class _Attempt:
    """One attempt; gathers what is known so far, so that a failure loses none of it."""

    def __init__(
        self, request: MeasureRequest, identity: Identity, image_sha256: str, workshop: Workshop
    ) -> None:
        self.request, self.workshop = request, workshop
        self.image_sha256 = image_sha256
        self.idle = read_meta(request.idle)
        if request.passport is None and is_open(request.settings):
            raise ConfigError(
                "protocol: auto takes the numbers of the sensor's passport, but there is none; "
                "give its passport.json, or numbers."
            )
        self.sensor = known_sensor(request.passport)
        self.settings = self.sensor.settings(request.settings)
        self.bench: Bench | None = None
        self.beside: Beside | None = None
        self.meta = TraceMeta(
            kind="modality",
            outcome="failed",
            setup=request.setup,
            source="",
            session="",
            created_utc=utc_now(),
            settings=dict(request.settings),
            settings_digest=identity.settings_digest,
            code_fingerprint=identity.code_fingerprint,
            meter=self.idle.meter,
            modality=None,
            idle_kind=self.idle.idle_kind,
            idle_power_w=self.idle.idle_power_w,
            run={
                "network": identity.network,
                "packages": package_versions(),
                "process": workshop.describe(),
                "passport": self.sensor.origin,
                **{key: self.settings["protocol"][key] for key in ("sampling_hz", "lead_in_s")},
            },
        )

    def run(self, report: Callable[[Progress], None]) -> _Ended:
        """Run the protocol; an error ends it and is handed back with what was measured."""
        error: BaseException | None = None
        try:
            with (
                allowed(),
                measuring(
                    self.idle.meter.device_uuid,
                    Machine.of(self.settings["device"], self.request.setup_folder.parent),
                    self.request.neighbours,
                ) as self.beside,
            ):
                self._measure(report)
        except RepetitionError as failure:
            self.meta = replace(self.meta, windows=failure.windows)
            error = failure
        except (Exception, KeyboardInterrupt) as failure:  # noqa: BLE001 - raised once it is kept
            error = failure
        if error is not None and self.meta.outcome != "accepted":
            if not self.meta.source and not isinstance(error, MeasurementError | CudaError):
                raise error
            self.meta = replace(
                self.meta,
                source=self.meta.source or self.idle.source,
                error=f"{type(error).__name__}: {error}",
            )
        if self.beside is not None and self.beside.seen:
            self.meta = replace(
                self.meta,
                flags=(*self.meta.flags, *self.beside.flags),
                run={**self.meta.run, "neighbours": sorted(self.beside.seen)},
            )
        samples = self.bench.history if self.bench else []
        return _Ended(Trace(samples_table(samples), self.meta), error)

    def _keep_samples_of(self, error: BaseException) -> None:
        """Fetch what the sampler still holds, unless it is the sampler that failed."""
        if self.bench is not None and not isinstance(error, MeterError):
            try:
                self.bench.drain()
            except NicEnergyError as lost:
                log.error("the last samples are lost: %s", lost)

    def _measure(self, report: Callable[[Progress], None]) -> None:
        self.workshop.have_alone(self.idle.meter.device_uuid)
        backend = self.workshop.open(self.settings, self.request.setup_folder)
        try:
            reference.require_same_uuid(self.request.idle, self.idle, backend.device_uuid())
            self._measure_on(backend, report)
        finally:
            backend.close()

    def _measure_on(self, backend: Backend, report: Callable[[Progress], None]) -> None:
        request, settings = self.request, self.settings
        log.info("loading %s", request.key)
        loaded = backend.load(
            LoadRequest(
                request.network,
                request.quality,
                request.image,
                request.image_path,
                self.image_sha256,
                settings,
                request.weights_dir,
            )
        )
        sampler = backend.sampler()
        found = sampler.start()
        try:
            meter = self.sensor.meter(found)
            self._identify(meter, loaded)
            hz = float(settings["protocol"]["sampling_hz"])
            self.bench = Bench(backend.clock, sampler, loaded.load, meter, hz)
            self._protocol(self.bench, report)
        except BaseException as error:
            self._keep_samples_of(error)
            raise
        finally:
            self.meta = replace(self.meta, sampler=stopped(sampler))

    def _identify(self, meter: MeterInfo, loaded: LoadedModality) -> None:
        request = self.request
        reference.require_same_device(request.idle, self.idle, meter)
        self.meta = replace(
            self.meta,
            source=meter.source,
            meter=meter,
            session=session_of(meter),
            flags=(*self.meta.flags, *self.sensor.flags(meter)),
            modality=Modality(
                request.part,
                request.network.network,
                request.quality,
                request.network.level(request.quality),
                loaded.image,
            ),
            run={**self.meta.run, **loaded.run},
            bpp=loaded.bpp,
            psnr_db=loaded.psnr_db,
        )

    def _protocol(self, bench: Bench, report: Callable[[Progress], None]) -> None:
        request, protocol = self.request, self.settings["protocol"]
        field = reference.power_field(bench.meter, request.power_field)
        idle_w = reference.idle_power_w(request.idle, self.idle, bench.meter, field)
        own_context = request.idle_kind == "context" or not self.workshop.warm
        before = self._rest(bench, "context", field) if own_context else ()
        point = (request.network.network, request.quality)
        execution_s = time_execution(bench, min(1.0, protocol["min_duration_s"] / 4))
        heated, interval = preheat(
            bench,
            PreheatRule(
                protocol["preheat_celsius"],
                protocol["preheat_max_s"],
                protocol["settle_s"],
                protocol["settle_kelvin"],
                protocol["temperature_band_celsius"],
            ),
            execution_s,
            self.workshop.settled_c(*point),
        )
        self.meta = replace(self.meta, preheat=heated.as_dict(), intervals=(*before, interval))
        limits = Limits(
            min_duration_s=protocol["min_duration_s"],
            temperature_band_celsius=protocol["temperature_band_celsius"],
            clock_tolerance_percent=protocol["clock_tolerance_percent"],
            sampling_hz=bench.sampling_hz,
            power_limit_w=bench.meter.details.get("enforced_power_limit_w"),
            processes=reference.processes(request.idle, bench),
        )
        done = repeat(
            bench,
            WindowRule(
                protocol["lead_in_s"],
                limits,
                protocol["max_rejected"],
                protocol["preheat_max_s"],
            ),
            StoppingRule(
                confidence=protocol["confidence"],
                relative_width=protocol["relative_width"],
                interval=protocol["interval"],
                min_repetitions=protocol["min_repetitions"],
                max_repetitions=protocol["max_repetitions"],
            ),
            field,
            idle_w,
            execution_s,
            seed=_phase_seed(request),
            report=lambda progress: self._keep(progress, report),
        )
        self.meta = replace(self.meta, windows=done.windows)
        self.workshop.ran(*point, done.settled_c)
        after = self._rest(bench, "paired", field)
        self.meta = replace(
            self.meta,
            outcome="accepted",
            intervals=(*before, interval, *done.intervals, *after),
            stopping={**asdict(done.decision), "power_field": field.column},
        )

    def _keep(self, progress: Progress, report: Callable[[Progress], None]) -> None:
        """A finished window stays in the attempt, whatever comes after it."""
        self.meta = replace(self.meta, windows=(*self.meta.windows, progress.window))
        if self.beside is not None:
            self.beside.look()
        report(progress)

    def _rest(self, bench: Bench, kind: str, field: PowerField) -> tuple[Interval, ...]:
        """Record the idle with the network resident; flagged where it had not settled, or where
        there is none because no try at it was sound.
        """
        protocol = self.settings["protocol"]
        seconds = protocol[f"{kind}_idle_s"]
        if not seconds:
            return ()
        rest = record_rest(bench, f"idle_{kind}", field, seconds, protocol["paired_settle_max_s"])
        if rest.flags:
            self.meta = replace(self.meta, flags=(*self.meta.flags, f"{kind}_idle_rejected"))
        elif not rest.settled:
            self.meta = replace(self.meta, flags=(*self.meta.flags, f"{kind}_idle_not_settled"))
        return rest.intervals


def _phase_seed(request: MeasureRequest) -> int:
    return int(digest_of([request.settings["seed"], request.key]), 16)

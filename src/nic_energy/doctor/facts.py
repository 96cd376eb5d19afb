"""What was found on the machine; None is what could not be found. Nothing here judges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Process:
    """A process on a GPU; the name is None for one of another container."""

    pid: int
    name: str | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Gpu:
    """A GPU as NVML describes it. `refusals` are the calls that gave no answer, with the name of
    NVML's error; `error` says why nothing at all is known of it.
    """

    index: int
    uuid: str = ""
    name: str = ""
    pci_bus_id: str | None = None
    architecture: str | None = None
    compute_capability: tuple[int, int] | None = None
    vbios: str | None = None
    persistence_mode: bool | None = None
    compute_mode: int | None = None
    mig_mode: bool | None = None
    ecc_modes: tuple[bool, bool] | None = None
    ecc_uncorrected: int | None = None
    display_active: bool | None = None
    enforced_power_limit_w: float | None = None
    default_power_limit_w: float | None = None
    most_power_limit_w: float | None = None
    max_sm_clock_mhz: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    application_sm_clock_mhz: int | None = None
    default_application_sm_clock_mhz: int | None = None
    performance_state: int | None = None
    throttle_reasons: int | None = None
    temperature_c: float | None = None
    slowdown_temperature_c: float | None = None
    margin_temperature_c: float | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    utilization_percent: float | None = None
    power_legacy_w: float | None = None
    energy_counter_j: float | None = None
    compute_processes: tuple[Process, ...] | None = None
    graphics_processes: tuple[Process, ...] | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def slowdown_c(self) -> float | None:
        """Temperature at which it slows down: its threshold, or its margin above the present
        temperature. None where it tells neither.
        """
        if self.slowdown_temperature_c:
            return self.slowdown_temperature_c
        if self.temperature_c is None or self.margin_temperature_c is None:
            return None
        return self.temperature_c + self.margin_temperature_c


@dataclass(frozen=True)
class Nvml:
    """The library and its GPUs. `error` ended the listing, `hung` names the call that did not
    return.
    """

    driver: str | None = None
    nvml_version: str | None = None
    cuda_driver_version: int | None = None
    gpus: tuple[Gpu, ...] = ()
    error: str | None = None
    hung: str | None = None

    def gpu(self, uuid: str | None) -> Gpu | None:
        """The GPU with that UUID."""
        return next((gpu for gpu in self.gpus if uuid and gpu.uuid == uuid), None)


@dataclass(frozen=True)
class Column:
    """How the readings of a power column behaved. `distinct` counts different values, `still_s` is
    the longest time without a new one; `period_reason` says why there is no update period.
    """

    column: str
    kind: str
    readings: int
    distinct: int
    least_w: float
    mean_w: float
    most_w: float
    still_s: float
    update_period_s: float | None = None
    update_jitter_s: float | None = None
    period_reason: str | None = None


@dataclass(frozen=True)
class Counter:
    """The energy counter beside the integral of `column`, both between the first and the last
    tick; `fell` says that it went backwards.
    """

    ticks: int
    tick_s: float | None = None
    fell: bool = False
    column: str | None = None
    duration_s: float = 0.0
    counter_j: float = 0.0
    integral_j: float = 0.0


@dataclass(frozen=True)
class Readings:
    """What the meter of the campaign read of the chosen GPU. `error` ended the reading, `hung`
    names the call that did not return; `skipped` says why the GPU was not read. `preferred` is
    the column that the campaign integrates, `clock_step_s` by how much the wall clock left the
    monotonic one meanwhile, `slowdown_ns` by how much the slowdown counters grew.
    """

    seconds: float = 0.0
    samples: int = 0
    columns: tuple[Column, ...] = ()
    preferred: str | None = None
    counter: Counter | None = None
    temperature_c: tuple[float, float] | None = None
    utilization_percent: float | None = None
    read_p99_s: float | None = None
    read_most_s: float | None = None
    slowdown_ns: Mapping[str, int] = field(default_factory=dict)
    slowdown_before_ns: Mapping[str, int] = field(default_factory=dict)
    throttle_reasons: int = 0
    clock_step_s: float = 0.0
    error: str | None = None
    hung: str | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class TorchDevice:
    """A CUDA device as PyTorch sees it."""

    uuid: str
    name: str
    compute_capability: tuple[int, int]


@dataclass(frozen=True)
class Torch:
    """PyTorch as installed, and, where it was `asked`, what it sees. `error` is why it sees no
    device.
    """

    version: str | None = None
    cuda_build: str | None = None
    asked: bool = False
    devices: tuple[TorchDevice, ...] = ()
    architectures: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Visible:
    """GPUs that CUDA shows under CUDA_VISIBLE_DEVICES, in its order, by what NVML lists.

    `certain` is False where only PyTorch knows the order, as the GPUs differ or some do not
    answer; `reason` says what is remarkable.
    """

    uuids: tuple[str, ...]
    variable: str | None
    certain: bool = True
    reason: str = ""


@dataclass(frozen=True)
class OtherMeter:
    """A meter besides NVML, opened and read twice."""

    meter: str
    error: str | None = None
    device_name: str = ""
    power_w: float | None = None


@dataclass(frozen=True)
class Packages:
    """Python, and packages as installed (None = missing) and as locked."""

    python: str
    installed: Mapping[str, str | None]
    locked: Mapping[str, str]


@dataclass(frozen=True)
class Lock:
    """The lock of the device: its name, an abstract socket, and who holds it."""

    name: str
    holder: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Machine:
    """The rest of the machine. `mps` are the processes of NVIDIA's Multi-Process Service."""

    usable_cores: int
    memory_bytes: int
    realtime: bool
    clock_source: str | None = None
    governors: tuple[str, ...] = ()
    mps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Need:
    """What the campaign will still write, in bytes; `modalities` are those left, None where
    nobody knows yet how many there are.
    """

    modalities: int | None
    trace_bytes: int
    images_bytes: int
    weights_bytes: int


@dataclass(frozen=True)
class Disk:
    """The file systems of the results and of the pretrained weights. `error` is why nothing can be
    written, `links` whether hard links work.
    """

    folder: str
    free_bytes: int
    need: Need
    links: bool = True
    error: str | None = None
    weights_folder: str | None = None
    weights_free_bytes: int | None = None
    same_disk: bool = True


@dataclass(frozen=True)
class Campaign:
    """What of the configuration the checks depend on; `energy_table` means that nothing is
    measured, `counter_calibrated` that the energy counter was compared with an external meter.
    """

    setup: str
    device: str
    meter: str
    estimator: str
    power_field: str
    sampling_hz: float | None
    preheat_celsius: float | None
    weights: str
    test_switch: bool
    energy_table: str | None
    counter_calibrated: bool = False


@dataclass(frozen=True)
class Facts:
    """Everything. `uuid` is that of the GPU that will run the networks, None where none was
    found.
    """

    campaign: Campaign
    packages: Packages
    torch: Torch
    machine: Machine
    disk: Disk
    others: tuple[OtherMeter, ...]
    nvml: Nvml | None = None
    visible: Visible | None = None
    uuid: str | None = None
    readings: Readings | None = None
    lock: Lock | None = None

    @property
    def gpu(self) -> Gpu | None:
        """The GPU that will run the networks."""
        return self.nvml.gpu(self.uuid) if self.nvml else None


def gpu_of(event: Mapping[str, Any]) -> Gpu:
    """A GPU from its event of the survey."""
    answers = dict(event.get("answers", {}))
    for key in ("compute_processes", "graphics_processes"):
        if answers.get(key) is not None:
            answers[key] = tuple(Process(**each) for each in answers[key])
    for key in ("compute_capability", "ecc_modes"):
        if answers.get(key) is not None:
            answers[key] = tuple(answers[key])
    return Gpu(
        index=event["index"],
        uuid=event.get("uuid", ""),
        name=event.get("name", ""),
        refusals=event.get("refusals", {}),
        error=event.get("error"),
        **answers,
    )

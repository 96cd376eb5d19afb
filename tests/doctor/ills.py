"""Every ill that the doctor should find on a GPU: how it comes about and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HEALTHY = (
    "update_ms 20",
    "window_ms 20",
    "trace 0.053:68:0 0.047:72:0 0.031:69:0 0.041:71:0",
    "field 74:0 75:0 269:0 270:0 271:0",
    "mig 0",
)
"""A GPU at rest that draws 70 W, a new reading every 20 ms."""

SECOND = "GPU-fa4e0000-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Ill:
    """An ill: `control` of the fake NVML library, what the fake PyTorch is, changes of the
    configuration and of the environment; then the check that finds it, its status, its words.
    """

    name: str
    check: str
    status: str
    text: str
    control: tuple[str, ...] = ()
    torch: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return 3 if self.status == "failure" else 0

    @property
    def needs_reading(self) -> bool:
        """Whether the GPU has to be read for a while to find it."""
        return self.check in READ


READ = (
    "meter",
    "power_instant_w",
    "power_legacy_w",
    "power_average_w",
    "counter",
    "counter_agreement",
    "read_time",
    "activity",
)


def fault(call: str, what: str) -> tuple[str, ...]:
    """A control line of the fake library."""
    return (f"fault {call} * {what}",)


ILLS: tuple[Ill, ...] = (
    # the driver
    Ill(
        "driver and library differ",
        "nvml",
        "failure",
        "different driver versions.*Reboot",
        fault("nvmlInitWithFlags", "LIB_RM_VERSION_MISMATCH"),
    ),
    Ill(
        "driver not loaded",
        "nvml",
        "failure",
        "driver is not loaded.*modprobe nvidia",
        fault("nvmlInitWithFlags", "DRIVER_NOT_LOADED"),
    ),
    Ill(
        "driver older than PyTorch's CUDA",
        "torch_build",
        "failure",
        r"driver 535.54.03 supports CUDA 12.2.*needs driver 580 or newer.*update the driver",
        ("cuda 12020", "driver 535.54.03"),
        {"devices": ()},
    ),
    Ill(
        "PyTorch without CUDA",
        "torch_build",
        "failure",
        "built without CUDA",
        torch={"cuda_build": None, "devices": ()},
    ),
    Ill(
        "PyTorch has no code for the GPU",
        "torch_build",
        "failure",
        "compute capability 7.0.*no code for that GPU",
        ("capability 7.0",),
    ),
    Ill(
        "a CUDA of the same major, but older",
        "torch_build",
        "note",
        "minor version compatibility",
        ("cuda 13000",),
        {"cuda_build": "13.2"},
    ),
    Ill(
        "a call crashes",
        "nvml",
        "failure",
        "ended by signal 6",
        fault("nvmlInitWithFlags", "crash"),
    ),
    Ill(
        "the start of NVML hangs",
        "nvml",
        "failure",
        "nvmlInit does not return.*hung process",
        fault("nvmlInitWithFlags", "hang"),
    ),
    Ill(
        "a call hangs",
        "nvml",
        "failure",
        "nvmlDeviceGetPowerUsage does not return",
        fault("nvmlDeviceGetPowerUsage", "hang"),
    ),
    Ill(
        "a call hangs while the GPU is read",
        "meter",
        "failure",
        "a reading of the meter hangs",
        fault("nvmlDeviceGetPowerUsage", "hang after=20"),
    ),
    # which GPU
    Ill("no GPU", "devices", "failure", "NVML sees no GPU.*lspci", ("devices 0",), {"devices": ()}),
    Ill(
        "GPU lost",
        "devices",
        "failure",
        "GPU is lost.*dmesg for Xid",
        fault("nvmlDeviceGetHandleByIndex_v2", "GPU_IS_LOST"),
    ),
    Ill(
        "another GPU is lost",
        "devices",
        "note",
        "NVML 1: GPU 1: NVML says 'GPU is lost'.*left alone",
        ("devices 2", "fault nvmlDeviceGetHandleByIndex_v2 1 GPU_IS_LOST"),
    ),
    Ill(
        "another GPU that this container may not open",
        "devices",
        "note",
        "NVML 1: GPU 1: NVML says 'Insufficient Permissions'.*left alone",
        ("devices 2", "fault nvmlDeviceGetHandleByIndex_v2 1 NO_PERMISSION"),
    ),
    Ill(
        "GPU lost while it is read",
        "meter",
        "failure",
        "GPU is lost.*dmesg for Xid",
        fault("nvmlDeviceGetPowerUsage", "GPU_IS_LOST after=20"),
    ),
    Ill(
        "CUDA_VISIBLE_DEVICES hides the GPU",
        "visible",
        "failure",
        "'1' names no GPU.*CUDA shows no GPU.*wants cuda:0",
        torch={"devices": ()},
        environment={"CUDA_VISIBLE_DEVICES": "1"},
    ),
    Ill(
        "the configuration wants a second GPU",
        "visible",
        "failure",
        "CUDA shows cuda:0.*wants cuda:1",
        config={"device": "cuda:1"},
    ),
    Ill(
        "CUDA_VISIBLE_DEVICES has a wrong entry",
        "visible",
        "warning",
        "'7' names no GPU, so CUDA ignores it and all after it",
        environment={"CUDA_VISIBLE_DEVICES": "0,7"},
    ),
    Ill(
        "PyTorch takes another GPU than the variable says",
        "visible",
        "note",
        f"PyTorch's word counts.*cuda:0 is {SECOND}",
        ("devices 2",),
        {"devices": (SECOND, "GPU-fa4e0000-0000-4000-8000-000000000000")},
    ),
    Ill(
        "PyTorch runs on a GPU that NVML does not list",
        "same_device",
        "failure",
        "GPU-0000, which NVML does not list",
        torch={"devices": ("GPU-0000",)},
    ),
    Ill(
        "PyTorch sees no GPU",
        "same_device",
        "failure",
        "finds no usable NVIDIA GPU",
        torch={"devices": ()},
    ),
    # the state of the GPU
    Ill("MIG", "mig", "failure", "MIG is on.*nvidia-smi -i 0 -mig 0", ("mig 1",)),
    Ill("persistence mode off", "persistence", "warning", "off.*-pm 1", ("persistence 0",)),
    Ill(
        "compute prohibited",
        "compute_mode",
        "failure",
        "prohibited.*-c DEFAULT",
        ("compute_mode 2",),
    ),
    Ill(
        "another process computes",
        "processes",
        "failure",
        r"pid 999999, 300 MiB\) computes on it",
        ("procs 999999:300",),
    ),
    Ill(
        "a desktop",
        "processes",
        "note",
        "a desktop draws on it",
        ("draws 999998:50", "procs 999998:50"),
    ),
    Ill(
        "processes cannot be listed",
        "processes",
        "warning",
        "would not be seen",
        (
            *fault("nvmlDeviceGetComputeRunningProcesses_v3", "NO_PERMISSION"),
            *fault("nvmlDeviceGetComputeRunningProcesses_v2", "NO_PERMISSION"),
        ),
    ),
    Ill(
        "a driver older than nvidia-ml-py",
        "permissions",
        "note",
        "driver 450.51.06 does not have nvmlDeviceGetComputeRunningProcesses.*Update the driver",
        (
            "driver 450.51.06",
            *fault("nvmlDeviceGetComputeRunningProcesses_v3", "FUNCTION_NOT_FOUND"),
            *fault("nvmlDeviceGetComputeRunningProcesses_v2", "FUNCTION_NOT_FOUND"),
        ),
    ),
    Ill(
        "no slowdown temperature",
        "temperature",
        "note",
        r"tells neither a slowdown temperature nor.*preheat_celsius \(80\) alone",
        ("slowdown_c 0",),
    ),
    Ill(
        "hot at rest by its margin",
        "temperature",
        "warning",
        "70 degC, slows down at 82.*fans",
        ("slowdown_c 0", "margin_c 12", "temp_c 70"),
    ),
    Ill(
        "the server of MPS",
        "mps",
        "warning",
        r"Multi-Process Service \(MPS\) runs.*pid 999999.*at the same time.*echo quit",
        ("procs 999999:30", "comm 999999:nvidia-cuda-mps-server"),
    ),
    Ill("a screen", "display", "note", "a display is active", ("display 1",)),
    Ill("clocks were set", "clocks", "note", "application clock 1200 MHz.*-rac", ("app_mhz 1200",)),
    Ill("power limit lowered", "power_limit", "note", "250 W, default 400 W", ("limit_w 250",)),
    Ill("hot at rest", "temperature", "warning", "85 degC, slows down at 92.*fans", ("temp_c 85",)),
    Ill("no thermometer", "temperature", "warning", "0 degC, which no chip has", ("temp_c 0",)),
    Ill(
        "preheating beyond the slowdown",
        "temperature",
        "note",
        "aims at 77 degC",
        ("slowdown_c 80",),
    ),
    Ill(
        "throttled now",
        "throttling",
        "failure",
        "hardware thermal slowdown now, at rest.*cooling",
        ("reasons 0x40",),
    ),
    Ill(
        "throttled before",
        "slowdown_counters",
        "note",
        "hw_thermal 5 s",
        ("field 270:5000000000",),
    ),
    Ill("memory errors", "ecc", "warning", "3 uncorrected errors", ("ecc 1:1:3",)),
    Ill("ECC is about to change", "ecc", "note", "off after the next reset", ("ecc 1:0:0",)),
    Ill(
        "memory in use",
        "memory",
        "warning",
        "0.1 of 40.0 GiB free",
        ("draws 999998:40000", "procs 999998:40300"),
    ),
    Ill(
        "a reading is not permitted",
        "permissions",
        "warning",
        "may not read nvmlDeviceGetPowerUsage.*NVIDIA_DRIVER_CAPABILITIES",
        fault("nvmlDeviceGetPowerUsage", "NO_PERMISSION"),
    ),
    Ill(
        "no power reading is permitted",
        "meter",
        "failure",
        "no power reading at all.*Insufficient Permissions",
        (
            *fault("nvmlDeviceGetPowerUsage", "NO_PERMISSION"),
            *fault("nvmlDeviceGetFieldValues", "NO_PERMISSION"),
        ),
    ),
    Ill(
        "a call fails",
        "permissions",
        "warning",
        r"NVML fails in nvmlDeviceGetVbiosVersion \(UNKNOWN\)",
        fault("nvmlDeviceGetVbiosVersion", "UNKNOWN"),
    ),
    # the readings
    Ill(
        "power frozen", "power_instant_w", "failure", "stuck.*does not agree", ("field 186:90000",)
    ),
    Ill(
        "steady power",
        "power_instant_w",
        "note",
        "the same in all.*that steady",
        ("trace 10:70:0",),
    ),
    Ill("zero power", "power_instant_w", "failure", "zero: 0.0 to 0.0 W", ("field 186:0",)),
    Ill("absurd power", "power_instant_w", "failure", "absurd.*above 600 W", ("field 186:900000",)),
    Ill("zero in another column", "power_legacy_w", "warning", "zero", ("legacy_mw 0",)),
    Ill(
        "the power field of the configuration is missing",
        "power_average_w",
        "failure",
        "no reading at all.*power_field: power_instant_w or power_legacy_w",
        ("nofield 185",),
        config={"power_field": "power_average_w"},
    ),
    Ill(
        "no counter",
        "counter",
        "note",
        "without a second opinion",
        ("nofield 83", *fault("nvmlDeviceGetTotalEnergyConsumption", "NOT_SUPPORTED")),
    ),
    Ill(
        "no counter, but the estimator needs it",
        "counter",
        "failure",
        "none.*estimator: trapezoid",
        ("nofield 83", *fault("nvmlDeviceGetTotalEnergyConsumption", "NOT_SUPPORTED")),
        config={"estimator": "counter"},
    ),
    Ill("counter stuck", "counter", "warning", "stuck: it moved 0 times", ("field 83:123456",)),
    Ill(
        "counter stuck, but the estimator needs it",
        "counter",
        "failure",
        "stuck: it moved 0 times",
        ("field 83:123456",),
        config={"estimator": "counter"},
    ),
    Ill(
        "all stands still",
        "power_instant_w",
        "failure",
        "stuck.*does not agree",
        fault("nvmlDeviceGetPowerUsage", "freeze"),
    ),
    Ill(
        "counter and power disagree",
        "counter_agreement",
        "warning",
        r"-(20\.\d|19\.[5-9]) %.*one of the two sensors is wrong",
        ("counter_percent 80",),
    ),
    Ill(
        "counter and power disagree, and the estimator is the counter",
        "counter_agreement",
        "failure",
        r"-(20\.\d|19\.[5-9]) %.*configuration's estimator is the counter.*estimator: trapezoid",
        ("counter_percent 80",),
        config={"estimator": "counter"},
    ),
    Ill(
        "slow calls",
        "read_time",
        "warning",
        "long beside the sampling period of 100 ms",
        fault("nvmlDeviceGetPowerUsage", "delay_ms=30"),
        config={"protocol": {"sampling_hz": 10}},
    ),
    Ill(
        "calls slower than the sampling",
        "read_time",
        "failure",
        "samples are missed.*sampling_hz",
        fault("nvmlDeviceGetPowerUsage", "delay_ms=130"),
        config={"protocol": {"sampling_hz": 10}},
    ),
    Ill(
        "an invisible process",
        "activity",
        "warning",
        "60 % utilisation, and no process is seen",
        ("trace 0.053:168:60 0.047:172:60 0.031:169:60 0.041:171:60",),
    ),
)

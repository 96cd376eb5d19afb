"""Checks of the machine around the device: software, processor, clock, lock and disk."""

from nic_energy.doctor.checks import Check, failure, note, ok, warning
from nic_energy.doctor.facts import Campaign, Disk, Lock, Machine, Packages, Readings
from nic_energy.measure.lock import NO_FILE

GIB = 2**30
MIB = 2**20

PYTHONS = ("3.11", "3.12")
LEAST_CORES = 2
MEMORY_BYTES = 8 * GIB
"""What the rules of the workflow reserve for a measurement."""

SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")
STEP_S = 0.05
ROOM = 2.0
"""Free space beyond this many times the need is plenty."""

SPARE_BYTES = 1 * GIB


def python(found: Packages) -> Check:
    """Whether CompressAI has a build for this Python."""
    if ".".join(found.python.split(".")[:2]) in PYTHONS:
        return ok("python", found.python)
    return warning(
        "python",
        found.python,
        f"nic-energy is tested with Python {' and '.join(PYTHONS)}",
        "make setup PYTHON=/path/to/python3.12",
    )


def packages(found: Packages) -> Check:
    """Whether everything is installed, at the locked versions."""
    missing = [name for name, version in found.installed.items() if version is None]
    if missing:
        return failure(
            "packages",
            f"not installed: {', '.join(missing)}",
            "the campaign imports them",
            "make setup, then activate .venv",
        )
    other = [
        f"{name} {version} (locked: {found.locked[name]})"
        for name, version in found.installed.items()
        if name in found.locked and not _same(version, found.locked[name])
    ]
    if other:
        return note(
            "packages",
            f"not as locked: {', '.join(other)}",
            "nic-energy is tested with the locked versions; keep one environment per set-up",
            "make clean setup",
        )
    listed = ", ".join(f"{name} {version}" for name, version in found.installed.items())
    return ok("packages", f"as locked: {listed}")


def _same(installed: str | None, locked: str) -> bool:
    """A local part such as +cu130 names the build, not the version."""
    return (installed or "").partition("+")[0] == locked.partition("+")[0]


def lock(found: Lock) -> Check:
    """Whether another measurement runs on the device."""
    if found.error:
        return failure(
            "lock",
            f"{found.name}: {found.error}",
            "the lock of the device cannot be taken, so nothing can be measured",
            f"see whether this container may open Unix sockets. {NO_FILE}",
        )
    if found.holder:
        return failure(
            "lock",
            f"{found.holder} holds {found.name}",
            "two measurements on one device falsify each other, so this one would wait",
            f"wait for it or stop it. {NO_FILE}",
        )
    return ok("lock", "no other measurement runs")


def cores(found: Machine) -> Check:
    """Whether a core is left to the sampler."""
    if found.usable_cores < LEAST_CORES:
        return warning(
            "cores",
            f"{found.usable_cores} usable core",
            "sampler and network share it, so samples come late",
            f"give the job {LEAST_CORES} cores or more",
        )
    if not found.realtime:
        return note(
            "cores",
            f"{found.usable_cores} usable cores; no real-time priority for the sampler",
            "samples may come some ms late when the machine is busy; their time stamps stay true",
            "ulimit -r 1, or a line `USER - rtprio 1` in /etc/security/limits.conf",
        )
    return ok("cores", f"{found.usable_cores} usable cores, real-time priority for the sampler")


def host_memory(found: Machine) -> Check:
    """Whether the rules' memory is there."""
    text = f"{found.memory_bytes / GIB:.1f} GiB"
    if found.memory_bytes < MEMORY_BYTES:
        return warning(
            "host_memory",
            text,
            f"a measurement reserves {MEMORY_BYTES / GIB:.0f} GiB",
            "leave out the largest images (images.select, images.max_side)",
        )
    return ok("host_memory", text)


def clock(found: Machine, readings: Readings | None) -> Check:
    """Whether the clocks are good and hold still."""
    step = readings.clock_step_s if readings else 0.0
    if step > STEP_S:
        return warning(
            "clock",
            f"the wall clock moved by {1e3 * step:.0f} ms against the monotonic one",
            "the driver stamps by the wall clock, so windows across a step are of no use",
            "let the time service settle (chronyc tracking), or stop it from stepping",
        )
    if found.clock_source in SLOW_CLOCKS:
        return warning(
            "clock",
            f"clock source {found.clock_source}",
            "reading the time takes microseconds, and longer when cores compete for it",
            "find out why the kernel gave up tsc (dmesg | grep -i tsc)",
        )
    return ok("clock", f"clock source {found.clock_source or 'unknown'}, no step seen")


def governor(found: Machine, campaign: Campaign) -> Check:
    """What sets the processor's frequency."""
    text = ", ".join(found.governors)
    if not text:
        return ok("governor", "the machine does not tell")
    if found.governors == ("performance",):
        return ok("governor", text)
    run_on_it = campaign.device == "cpu"
    return (warning if run_on_it else note)(
        "governor",
        text,
        "the processor's clock follows the load"
        + (", and its power with it" if run_on_it else "; it only issues the GPU's work"),
        "sudo cpupower frequency-set -g performance",
    )


def disk_space(found: Disk) -> Check:
    """Whether what the campaign writes has room."""
    need = found.need
    total = need.trace_bytes + need.images_bytes + (need.weights_bytes if found.same_disk else 0)
    count = "an unknown number of" if need.modalities is None else str(need.modalities)
    text = (
        f"{_size(found.free_bytes)} free in {found.folder}; at most {_size(total)} to come "
        f"({count} modalities)"
    )
    if found.free_bytes < total:
        return failure(
            "disk_space",
            text,
            "the campaign would stop in its middle; finished measurements are kept",
            "free some space, or run it in a folder on another disk (--directory)",
        )
    if found.free_bytes < ROOM * total or found.free_bytes < SPARE_BYTES:
        return warning(
            "disk_space", text, "little to spare for figures, logs and others", "free some space"
        )
    return ok("disk_space", text)


def disk_write(found: Disk) -> Check:
    """Whether results can be written."""
    if found.error:
        return failure(
            "disk_write",
            f"{found.folder}: {found.error}",
            "no result could be kept",
            "run it in a folder that you may write, on a disk that is not full",
        )
    if not found.links:
        return note(
            "disk_write",
            f"{found.folder} can be written, but has no hard links",
            "each trace is copied from its attempt, so traces take twice the space",
        )
    return ok("disk_write", f"{found.folder} can be written")


def weights(found: Disk, campaign: Campaign) -> list[Check]:
    """Whether the pretrained weights have room, on a disk of their own."""
    if campaign.weights != "pretrained" or not found.need.weights_bytes:
        return []
    free, text = found.weights_free_bytes, f"about {_size(found.need.weights_bytes)} to download"
    if free is not None and not found.same_disk and free < found.need.weights_bytes:
        return [
            failure(
                "weights",
                f"{text}, {_size(free)} free in {found.weights_folder}",
                "the networks could not be loaded",
                "free some space, or set TORCH_HOME to a folder on another disk",
            )
        ]
    return [
        note(
            "weights",
            f"{text} to {found.weights_folder}",
            "the first modality of a network waits for it; it needs a connection",
            "weights_dir names a folder with the files where there is none",
        )
    ]


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"

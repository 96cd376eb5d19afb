"""Checks of the GPU's state: who uses it, its clocks and limits, its temperature and memory."""

from collections.abc import Mapping, Sequence

from nic_energy.doctor.checks import Check, failure, note, ok, warning
from nic_energy.doctor.facts import Campaign, Gpu, Machine, Process, Readings
from nic_energy.meters.nvml_calls import is_mps_server
from nic_energy.meters.nvml_errors import NOT_OFFERED as CODES
from nic_energy.meters.nvml_errors import OUTDATED, REMEDIES, error_name
from nic_energy.protocol.preheat import SLOWDOWN_MARGIN_K

GIB = 2**30

COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
PROHIBITED = 2

BAD_REASONS: Mapping[int, str] = {
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Clocks event reasons under which windows are not admissible."""

NORMAL_REASONS: Mapping[int, str] = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x10: "sync boost",
    0x100: "display clocks",
}

HOT_MARGIN_K = 15.0
"""A GPU at rest this close to its slowdown has no room for the load."""

FREE_BYTES = 4 * GIB
"""The largest network on the images of the paper takes this order of memory."""

NOT_OFFERED = frozenset(map(error_name, CODES))
TOO_OLD = frozenset(error_name(code) for code, text in REMEDIES.items() if text == OUTDATED)
"""With these NVML says that driver and nvidia-ml-py do not go together."""

NOT_TOLD = "not told by this GPU or driver"


def mig(gpu: Gpu) -> Check:
    """MIG splits a board whose meter is one."""
    if gpu.mig_mode:
        return failure(
            "mig",
            "MIG is on",
            "the power meter is the whole board's, so other instances' joules would be counted",
            f"turn it off, as root: nvidia-smi -i {gpu.index} -mig 0",
        )
    return ok("mig", "not offered" if gpu.mig_mode is None else "off")


def persistence(gpu: Gpu) -> Check:
    """Whether the driver stays loaded between processes."""
    if gpu.persistence_mode is None:
        return note("persistence", NOT_TOLD, "the driver may be unloaded between two measurements")
    if gpu.persistence_mode:
        return ok("persistence", "on")
    return warning(
        "persistence",
        "off",
        "between two processes the driver is unloaded: the energy counter starts again at 0, and "
        "idle power is that of a card just woken",
        f"sudo nvidia-smi -i {gpu.index} -pm 1, or run nvidia-persistenced",
    )


def compute_mode(gpu: Gpu) -> Check:
    """Whether processes may compute on it at all."""
    mode = gpu.compute_mode
    if mode == PROHIBITED:
        return failure(
            "compute_mode",
            "prohibited",
            "no process may run anything on this GPU",
            f"sudo nvidia-smi -i {gpu.index} -c DEFAULT",
        )
    return ok("compute_mode", NOT_TOLD if mode is None else COMPUTE_MODES.get(mode, str(mode)))


def processes(gpu: Gpu) -> Check:
    """Who else computes on it. A desktop's own processes also draw, and are normal."""
    if gpu.compute_processes is None:
        return warning(
            "processes",
            NOT_TOLD,
            "another process on the GPU would not be seen, and its joules would be counted",
            "make sure by other means that nothing else runs on it",
        )
    drawing = {each.pid for each in gpu.graphics_processes or ()}
    computing = [
        each
        for each in gpu.compute_processes
        if each.pid not in drawing and not is_mps_server(each.name)
    ]
    if computing:
        return failure(
            "processes",
            f"{_listed(computing)} compute{'s'[: len(computing) == 1]} on it",
            "their joules and their contexts' idle power would be counted as the network's",
            "end them, or wait for them (nvidia-smi lists them)",
        )
    if gpu.graphics_processes:
        return note(
            "processes",
            f"a desktop draws on it: {_listed(gpu.graphics_processes)}",
            "normal; its joules are in idle and load alike as long as it holds still",
            "log out of the desktop, or leave it alone while the campaign runs",
        )
    return ok("processes", "no other process uses it")


def mps(gpu: Gpu, machine: Machine) -> list[Check]:
    """Whether NVIDIA's Multi-Process Service runs."""
    servers = [each.pid for each in gpu.compute_processes or () if is_mps_server(each.name)]
    pids = sorted({*servers, *machine.mps})
    if not pids:
        return []
    return [
        warning(
            "mps",
            f"the Multi-Process Service (MPS) runs: nvidia-cuda-mps, pid "
            f"{', '.join(map(str, pids))}",
            "its server holds a context on the GPU, whose idle power is in the idle reference or "
            "not, by when it started; kernels of its other clients run at the same time as the "
            "network's, and their joules are counted",
            "stop it, as the user who started it: echo quit | nvidia-cuda-mps-control",
        )
    ]


def _listed(processes: Sequence[Process]) -> str:
    return ", ".join(
        f"{each.name or 'a process of another container'} (pid {each.pid}"
        + (f", {each.memory_bytes / 2**20:.0f} MiB)" if each.memory_bytes else ")")
        for each in processes
    )


def display(gpu: Gpu) -> Check:
    """Whether a screen is attached."""
    if gpu.display_active:
        return note(
            "display",
            "a display is active on it",
            "what the screen shows changes the power by some watts",
            "switch the screen off or drive it by another GPU, if there is one",
        )
    return ok("display", NOT_TOLD if gpu.display_active is None else "none active")


def clocks(gpu: Gpu) -> Check:
    """What the clocks are bound to."""
    found = f"SM {_number(gpu.sm_clock_mhz)} of at most {_number(gpu.max_sm_clock_mhz)} MHz"
    setting, default = gpu.application_sm_clock_mhz, gpu.default_application_sm_clock_mhz
    if setting is not None and setting != default:
        return note(
            "clocks",
            f"{found}, application clock {setting} MHz (default {_number(default)})",
            "someone set the clocks: a set-up of its own, not that of a card as it comes",
            f"keep it so for the whole campaign, or: sudo nvidia-smi -i {gpu.index} -rac",
        )
    return ok("clocks", f"{found}, boost left to the card")


def power_limit(gpu: Gpu) -> Check:
    """Whether the power limit is that of the card as it comes."""
    limit, default = gpu.enforced_power_limit_w, gpu.default_power_limit_w
    if limit is None:
        return ok("power_limit", NOT_TOLD)
    if default is not None and abs(limit - default) > 1:
        return note(
            "power_limit",
            f"{limit:.0f} W, default {default:.0f} W",
            "someone set the limit: joules at the cap are those of this setting",
            f"keep it so for the whole campaign, or: sudo nvidia-smi -i {gpu.index} "
            f"-pl {default:.0f}",
        )
    return ok("power_limit", f"{limit:.0f} W, the default" if default else f"{limit:.0f} W")


def temperature(gpu: Gpu, campaign: Campaign) -> Check:
    """Whether there is room for the load below the slowdown."""
    at, slowdown = gpu.temperature_c, gpu.slowdown_c
    if at is None or not 0 < at < 150:
        return warning(
            "temperature",
            NOT_TOLD if at is None else f"{at:.0f} degC, which no chip has",
            "nothing can be preheated, and no window is checked for its temperature",
            "let the card settle under load before you measure; update the driver",
        )
    found = f"{at:.0f} degC" + (f", slows down at {slowdown:.0f}" if slowdown else "")
    if slowdown and at >= slowdown - HOT_MARGIN_K:
        return warning(
            "temperature",
            found,
            "it is hot before any load, so windows will fall into thermal slowdown",
            "look after fans, dust and the room; let it cool",
        )
    target = campaign.preheat_celsius
    if slowdown and target and target > slowdown - SLOWDOWN_MARGIN_K:
        return note(
            "temperature",
            f"{found}, protocol.preheat_celsius {target:.0f}",
            f"preheating aims at {slowdown - SLOWDOWN_MARGIN_K:.0f} degC, below the slowdown",
        )
    if target and not slowdown:
        return note(
            "temperature",
            f"{found}; it tells neither a slowdown temperature nor a margin to it",
            f"protocol.preheat_celsius ({target:.0f}) alone limits the preheating: windows in "
            "which the GPU slows down are left out all the same",
        )
    return ok("temperature", found)


def throttling(gpu: Gpu, readings: Readings | None) -> Check:
    """What holds the clocks down now."""
    reasons = gpu.throttle_reasons
    if reasons is None:
        return note("throttling", NOT_TOLD, "a slowed-down window would not be seen as one")
    reasons |= readings.throttle_reasons if readings else 0
    bad = [text for bit, text in BAD_REASONS.items() if reasons & bit]
    if bad:
        return failure(
            "throttling",
            f"{', '.join(bad)} now, at rest",
            "under load it would be slower still, and no window would be admissible",
            "look after cooling and power cables; nvidia-smi -q -d PERFORMANCE",
        )
    known = [text for bit, text in NORMAL_REASONS.items() if reasons & bit]
    return ok("throttling", f"none; clocks held by {', '.join(known)}" if known else "none")


def slowdown_counters(readings: Readings) -> Check:
    """Whether it was slowed down while it was read, or since the driver was loaded."""
    if not readings.slowdown_before_ns:
        return note(
            "slowdown_counters",
            NOT_TOLD,
            "a slowdown within a window shows only if a sample falls on it",
        )
    grown = {name: ns for name, ns in readings.slowdown_ns.items() if ns > 0}
    if grown:
        return failure(
            "slowdown_counters",
            f"grew while it was read: {_times(grown)}",
            "it is slowed down at rest; no window would be admissible",
            "look after cooling and power cables; nvidia-smi -q -d PERFORMANCE",
        )
    past = {name: ns for name, ns in readings.slowdown_before_ns.items() if ns > 0}
    if past:
        return note(
            "slowdown_counters",
            f"since the driver was loaded: {_times(past)}",
            "it has been slowed down before; windows in which that happens are left out",
        )
    return ok("slowdown_counters", "all 0")


def _times(counters: Mapping[str, int]) -> str:
    return ", ".join(
        f"{name.removeprefix('throttle_').removesuffix('_ns')} {ns / 1e9:.3g} s"
        for name, ns in counters.items()
    )


def ecc(gpu: Gpu) -> Check:
    """Error correction of the memory, and errors beyond it."""
    if gpu.ecc_modes is None:
        return ok("ecc", "not offered")
    now, pending = gpu.ecc_modes
    found = f"{'on' if now else 'off'}, {gpu.ecc_uncorrected or 0} uncorrected errors"
    if gpu.ecc_uncorrected:
        return warning(
            "ecc",
            found,
            "memory errors change results and can end a process",
            "reset the GPU when nothing runs on it (nvidia-smi --gpu-reset); else replace it",
        )
    if now != pending:
        return note(
            "ecc",
            f"{found}, {'on' if pending else 'off'} after the next reset",
            "ECC costs bandwidth and power: a campaign across the reset mixes two settings",
            "reset first",
        )
    return ok("ecc", found)


def memory(gpu: Gpu) -> Check:
    """Free memory."""
    free, total = gpu.memory_free_bytes, gpu.memory_total_bytes
    if free is None or total is None:
        return ok("memory", NOT_TOLD)
    found = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < FREE_BYTES:
        return warning(
            "memory",
            found,
            "the largest network on the largest image may not fit",
            "free it of other processes; make gpu-test measures what is needed",
        )
    return ok("memory", found)


def permissions(gpu: Gpu, driver: str | None) -> Check:
    """What this user is refused, and what the GPU does not offer."""
    refused = [call for call, error in gpu.refusals.items() if error == "NO_PERMISSION"]
    if refused:
        return warning(
            "permissions",
            f"this user may not read {', '.join(refused)}",
            "what is not read can neither be measured nor checked",
            "in a container pass the GPU's utility capability (NVIDIA_DRIVER_CAPABILITIES=all); "
            "else ask the administrator",
        )
    failing = {call: error for call, error in gpu.refusals.items() if error not in NOT_OFFERED}
    if failing:
        listed = ", ".join(f"{call} ({error})" for call, error in failing.items())
        return warning(
            "permissions",
            f"NVML fails in {listed}",
            "the driver or the GPU is not well",
            "see dmesg for Xid errors; a reboot may be needed",
        )
    too_old = [call for call, error in gpu.refusals.items() if error in TOO_OLD]
    if too_old:
        return note(
            "permissions",
            f"driver {driver} does not have {', '.join(too_old)}",
            "what is not read is null in the traces, and cannot be checked",
            OUTDATED,
        )
    missing = ", ".join(gpu.refusals)
    return ok("permissions", f"nothing is refused{'; not offered: ' + missing if missing else ''}")


def _number(value: int | None) -> str:
    return "?" if value is None else str(value)

"""Checks of the readings: are the sensors alive, how often do they update, do they agree."""

import math
from collections.abc import Sequence

from nic_energy.doctor.checks import Check, failure, in_two, note, ok, warning
from nic_energy.doctor.facts import Campaign, Column, Counter, Gpu, Readings

AGREEMENT = 0.02
"""Counter and integrated power may differ by this share, and by one tick of the counter."""

LEAST_W = 0.5
"""No GPU at rest draws less; a sensor that says so reads nothing."""

ABSURD_SHARE = 1.5
MOST_W = 5000.0
"""Readings above this many times the highest power limit, or above this where it is not known."""

STILL_S = 2.0
SLOW_S = 0.5
"""A sensor that updates more slowly gives a window of 5 s fewer than ten readings."""

READ_SHARE = 0.25
"""A reading may take this share of the sampling period; the network waits for none of it, but its
time stamp is as uncertain."""

FAST_HZ = 100.0
BUSY_PERCENT = 5.0

RUN_SOMETHING = (
    "run something on the GPU and ask again; if it stands still then too, update the driver"
)


def meter(readings: Readings, gpu: Gpu) -> Check:
    """Whether the meter of the campaign opens and keeps on reading."""
    if readings.skipped:
        return note("meter", "not read", readings.skipped)
    if readings.hung:
        return failure(
            "meter",
            f"{readings.hung} hangs",
            "the sampler would hang in it, and the campaign with it",
            "look for a hung process (nvidia-smi, dmesg); a reboot may be needed",
        )
    if readings.error:
        found, remedy = in_two(readings.error)
        return failure("meter", found, "the meter of the campaign does not work on it", remedy)
    return ok("meter", f"{readings.samples} readings of {gpu.name} in {readings.seconds:.1f} s")


def power(readings: Readings, campaign: Campaign, gpu: Gpu) -> list[Check]:
    """One check a power column; what the campaign integrates must be sound."""
    checks = [_column(column, readings, campaign, gpu) for column in readings.columns]
    offered = [column.column for column in readings.columns]
    if readings.preferred not in offered:
        checks.append(
            failure(
                readings.preferred or campaign.power_field,
                "it gave no reading at all",
                "the campaign integrates this power field",
                f"power_field: {' or '.join(offered)}" if offered else "update the driver",
            )
        )
    return checks


def _column(column: Column, readings: Readings, campaign: Campaign, gpu: Gpu) -> Check:
    name = column.column
    main = name == readings.preferred and campaign.estimator != "counter"
    serious = failure if main else warning
    role = " (the campaign's)" if name == readings.preferred else ""
    values = f"{column.least_w:.1f} to {column.most_w:.1f} W, mean {column.mean_w:.1f} W{role}"
    most = ABSURD_SHARE * (gpu.most_power_limit_w or gpu.enforced_power_limit_w or MOST_W)
    if not math.isfinite(column.mean_w) or column.least_w < 0 or column.most_w > most:
        return serious(
            name,
            f"absurd: {values}",
            f"no reading can lie below 0 or above {most:.0f} W",
            "update the driver; take another power_field, or another GPU",
        )
    if column.mean_w < LEAST_W:
        return serious(
            name,
            f"zero: {values}",
            "a GPU at rest draws some watts, so this sensor reads nothing",
            "update the driver; take another power_field, or another GPU",
        )
    if column.distinct == 1:
        return _frozen(column, readings, values, main)
    if column.still_s > STILL_S:
        return warning(
            name,
            f"{values}; no new value for {column.still_s:.1f} s",
            "it updates irregularly or had stopped",
            RUN_SOMETHING,
        )
    return _updating(column, values)


def _frozen(column: Column, readings: Readings, values: str, main: bool) -> Check:
    """A column that never changed: a steady device, or a sensor that is stuck. The energy counter
    can tell.
    """
    seconds = f"{values}; the same in all {column.readings} readings of {readings.seconds:.1f} s"
    counter = readings.counter
    if counter is not None and counter.ticks >= 3 and agreement(counter) <= allowed(counter):
        return note(column.column, seconds, "the energy counter agrees: the GPU is that steady")
    serious = failure if main and counter is not None else warning
    why = "the energy counter does not agree" if counter else "no energy counter can tell"
    return serious(column.column, f"stuck? {seconds}", why, RUN_SOMETHING)


def _updating(column: Column, values: str) -> Check:
    period = column.update_period_s
    if period is None:
        return note(column.column, f"{values}; alive", f"no update period: {column.period_reason}")
    jitter = 1e3 * (column.update_jitter_s or 0)
    found = f"{values}; a new value every {1e3 * period:.1f} ms, give or take {jitter:.1f} ms"
    if period > SLOW_S:
        return warning(
            column.column,
            found,
            "a window of 5 s holds fewer than ten readings",
            "lengthen protocol.min_duration_s, or take another power_field",
        )
    return ok(column.column, found)


def agreement(counter: Counter) -> float:
    """By which share counter and integral differ."""
    if counter.integral_j <= 0:
        return math.inf
    return abs(counter.counter_j / counter.integral_j - 1)


def allowed(counter: Counter) -> float:
    """By which share they may: the limit, and a tick."""
    return AGREEMENT + (counter.tick_s or 0.0) / max(counter.duration_s, 1e-9)


def counter(readings: Readings, campaign: Campaign) -> Check:
    """Whether there is an energy counter, and it counts."""
    found, needed = readings.counter, campaign.estimator == "counter"
    serious = failure if needed else warning
    if found is None:
        if not needed:
            return note(
                "counter",
                "none",
                "it comes with Volta and newer; power is integrated without a second opinion",
            )
        return failure(
            "counter",
            "none",
            "the configuration's estimator is the counter",
            "estimator: trapezoid",
        )
    if found.fell:
        return serious(
            "counter",
            "it went backwards while it was read",
            "the driver was reloaded or the counter reset: its joules are lost",
            "persistence mode keeps the driver loaded",
        )
    if found.ticks < 3:
        return serious(
            "counter",
            f"stuck: it moved {found.ticks} times in {readings.seconds:.1f} s",
            "a GPU draws power at every moment, so a counter that stands still does not count",
            "update the driver; estimator: trapezoid does without it",
        )
    return ok("counter", f"ticks every {1e3 * (found.tick_s or 0):.1f} ms")


def counter_agreement(readings: Readings, campaign: Campaign) -> list[Check]:
    """Whether the counter counts what the power readings show; nothing where it does not count.

    Where it does not, a campaign may not report its energies, unless it was calibrated.
    """
    found = readings.counter
    if found is None or found.column is None:
        return []
    text = (
        f"{found.counter_j:.1f} J counted, {found.integral_j:.1f} J integrated from "
        f"{found.column} over {found.duration_s:.1f} s"
    )
    if agreement(found) <= allowed(found):
        return [ok("counter_agreement", text)]
    if found.integral_j > 0:
        text += f": {100 * (found.counter_j / found.integral_j - 1):+.1f} %"
    bound = f"they may differ by {100 * allowed(found):.1f} %; one of the two sensors is wrong"
    if campaign.estimator == "counter" and not campaign.counter_calibrated:
        return [
            failure(
                "counter_agreement",
                text,
                f"{bound}, and the configuration's estimator is the counter",
                "estimator: trapezoid; or calibrate the counter with an external meter "
                "(docs/external_meter.md)",
            )
        ]
    remedy = "compare with an external meter; never mix the estimators"
    return [warning("counter_agreement", text, bound, remedy)]


def read_time(readings: Readings, campaign: Campaign) -> list[Check]:
    """How long NVML takes to answer."""
    if readings.read_p99_s is None:
        return []
    period = 1 / (campaign.sampling_hz or FAST_HZ)
    found = (
        f"99 % of all readings within {1e3 * readings.read_p99_s:.1f} ms, the slowest "
        f"{1e3 * (readings.read_most_s or 0):.1f} ms"
    )
    if readings.read_p99_s > period and campaign.sampling_hz:
        return [
            failure(
                "read_time",
                found,
                f"longer than the sampling period of {1e3 * period:.0f} ms: samples are missed",
                "lower protocol.sampling_hz; look for other programs that ask the driver (dcgm, "
                "nvidia-smi loops)",
            )
        ]
    if readings.read_p99_s > READ_SHARE * period:
        return [
            warning(
                "read_time",
                found,
                f"long beside the sampling period of {1e3 * period:.0f} ms: time stamps of samples "
                "are uncertain by as much",
                "look for other programs that ask the driver (dcgm, nvidia-smi loops)",
            )
        ]
    return [ok("read_time", found)]


def activity(readings: Readings, gpu: Gpu) -> list[Check]:
    """Whether it works although nobody is seen on it."""
    busy = readings.utilization_percent
    if busy is None or gpu.compute_processes:
        return []
    if busy > BUSY_PERCENT and not gpu.graphics_processes:
        return [
            warning(
                "activity",
                f"{busy:.0f} % utilisation, and no process is seen on it",
                "a process that this user or container cannot see works on it",
                "ask the administrator who else uses the machine",
            )
        ]
    return [ok("activity", f"{busy:.0f} % utilisation")]


def readings_checks(readings: Readings, campaign: Campaign, gpu: Gpu) -> Sequence[Check]:
    """All of them."""
    checks = [meter(readings, gpu)]
    if readings.samples:
        checks += power(readings, campaign, gpu)
        checks += [counter(readings, campaign), *counter_agreement(readings, campaign)]
        checks += [*read_time(readings, campaign), *activity(readings, gpu)]
    return checks

"""The page at the end of first light, as plain text: about 40 lines of 96 columns."""

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from nic_energy.campaign import duration
from nic_energy.first_light.steps import Done, failed
from nic_energy.logs import visible
from nic_energy.vocabulary import SOURCE_NOTES

WIDTH = 96
INDENT = " " * 12
LONGEST = 3
"""Lines that one entry may take; the log of its step has all of it."""
MOST_NAMED = 3


@dataclass(frozen=True)
class Found:
    """What the page is made of.

    `doctor` is the document of `nic-energy doctor --json`, `gpu_tests` the report of the GPU
    tests, `passport` and `environment` those of the set-up; each empty where it is not there.
    `rows` are those of energy.csv, `networks` the quality levels that were asked for. `sources`
    say what the joules are called; empty where there is none yet.
    """

    setup: str
    device: str
    sources: Sequence[str]
    steps: Sequence[Done]
    doctor: Mapping[str, Any] = field(default_factory=dict)
    gpu_tests: Mapping[str, Any] = field(default_factory=dict)
    passport: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    networks: Mapping[str, Sequence[int]] = field(default_factory=dict)
    min_duration_s: float = 0.0
    bundle: str | None = None


def page(found: Found) -> str:
    """The page."""
    took = duration(sum(step.seconds for step in found.steps))
    bad = failed(found.steps)
    outcome = f"{len(bad)} of {len(found.steps)} steps did not succeed" if bad else "all is well"
    called = ", ".join(found.sources) or "nothing was read"
    lines = [
        f"First light of {found.setup} ({called}), {took}: {outcome}.",
        *(f"Its joules and watts are {SOURCE_NOTES[source]}." for source in found.sources),
        "",
        *_entry("card", _card(found)),
        *_sensor(found),
        "",
        *_steps(found.steps),
        *_trust(found),
        "",
        *_energies(found),
        "",
        *_entry("archive", found.bundle or "none"),
        *_entry("logs", _logs(found.steps)),
    ]
    return "\n".join(visible(line.rstrip()) for line in lines)


def _entry(name: str, text: str, most: int = LONGEST) -> list[str]:
    """A name and, beside it, a text in as many lines as it takes, `most` of them shown."""
    lines = textwrap.wrap(
        " ".join(text.split()), WIDTH - len(INDENT), break_on_hyphens=False, max_lines=most,
        placeholder=" …",
    ) or [""]  # fmt: skip
    return [f"{name if n == 0 else '':<{len(INDENT)}}{line}" for n, line in enumerate(lines)]


def _card(found: Found) -> str:
    device = found.environment.get("device") or {}
    facts = found.doctor.get("facts") or {}
    torch = facts.get("torch") or {}
    name = device.get("name", found.device)
    driver = device.get("driver") or (facts.get("nvml") or {}).get("driver") or "not known"
    uuid = device.get("uuid") or found.doctor.get("device_uuid") or "UUID not known"
    cuda = torch.get("cuda_build") or "none"
    return f"{name}, {uuid}; driver {driver}, PyTorch {torch.get('version')}, CUDA build {cuda}"


def _sensor(found: Found) -> list[str]:
    passport = found.passport
    if not passport:
        return _entry("sensor", "no passport")
    choice = passport["choice"]
    column = choice["power_field"]
    fields = {each["column"]: each for each in passport["fields"]}
    chosen = fields.get(column, {})
    said = [
        f"{column}: updates every {_ms(chosen, 'update_period_s')}, averages over "
        f"{_ms(chosen, 'averaging_window_s')}",
    ]
    if chosen.get("duty") is not None:
        said.append(f"sees {min(100.0, 100 * chosen['duty']):.0f} % of the time")
    tick = passport.get("counter_tick_s")
    said.append(
        f"energy counter ticks every {1e3 * tick:.4g} ms"
        if tick
        else f"energy counter: {passport.get('counter_reason') or 'no tick found'}"
    )
    return _entry("sensor", f"{'; '.join(said)} (passport, {passport.get('source')})")


def _ms(field_: Mapping[str, Any], name: str) -> str:
    value = field_.get(name)
    if value is not None:
        return f"{1e3 * value:.4g} ms"
    return f"an unknown time ({(field_.get('reasons') or {}).get(name, 'not in the passport')})"


def _trust(found: Found) -> Iterator[str]:
    """What to mind: of the doctor, what is barred on this card, the flags of the rows, the gain."""
    yield from _minded("doctor", found.doctor.get("checks") or ())
    tests = found.gpu_tests
    if (tests.get("device") or {}).get("quick"):
        yield from _entry("  tests", "in their short form: they say little of the card")
    for what, why in (tests.get("bars") or {}).items():
        yield from _entry("  barred", f"{what}: {why}", 2)
    warned = [text for each in tests.get("findings") or () for text in each.get("warnings") or ()]
    for text in warned[:MOST_NAMED]:
        yield from _entry("  warning", text, 1)
    flags = Counter(flag for row in found.rows for flag in str(row.get("flags") or "").split(";"))
    counted = ", ".join(f"{name} {count}" for name, count in sorted(flags.items()) if name)
    if found.rows:
        of = f"{counted}, of {len(found.rows)} rows (docs/protocol.md)"
        yield from _entry("  flags", of if counted else f"none in {len(found.rows)} rows")
    if found.rows and not any(row.get("calibrated") for row in found.rows):
        yield from _entry("  gain", "not calibrated: ± leaves out the error of the sensor's scale")


def _minded(who: str, checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Failures first, then warnings, the first few; the others by their names."""
    found = [c for s in ("failure", "warning") for c in checks if c["status"] == s]
    for check in found[:MOST_NAMED]:
        yield from _entry(f"  {check['status']}", f"{who}, {check['name']}: {check['found']}", 1)
    if others := [check["name"] for check in found[MOST_NAMED:]]:
        yield from _entry("  and", f"{', '.join(others)} (nic-energy {who})", 1)


def _energies(found: Found) -> Iterator[str]:
    """A line of joules a network: its lowest and its highest quality on the largest image."""
    if not found.rows:
        yield "No joule: no modality has a trace."
        return
    image = max(found.rows, key=lambda row: (row["pixels"], row["image"]))
    of_image = [row for row in found.rows if row["image"] == image["image"]]
    megapixels = f"{image['pixels'] / 1e6:.2g} Mpx"
    yield (
        f"Joules of one execution, {', '.join(found.sources)}: over idle, ± 95 %, on "
        f"{image['image']}, {image['width']}x{image['height']} ({megapixels})"
    )
    yield f"  {'network':<22}{'lowest quality':<34}highest quality"
    for network, qualities in found.networks.items():
        rows = {row["quality"]: row for row in of_image if row["network"] == network}
        least, most = (_cell(rows.get(end(qualities))) for end in (min, max))
        yield f"  {network:<22}{least:<34}{most}"
    yield from textwrap.wrap(_how(found.rows, found.min_duration_s), WIDTH, initial_indent="  ",
                             subsequent_indent="  ", break_on_hyphens=False)  # fmt: skip


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "not there"
    energy, u = row["energy_j"], row.get("expanded_uncertainty_j")
    if u is None or not u > 0:
        return f"q{row['quality']}  {energy:.4g} J, uncertainty unknown"
    places = max(0, 1 - math.floor(math.log10(u)))
    return f"q{row['quality']}  {energy:.{places}f} ± {u:.{places}f} J"


def _how(rows: Sequence[Mapping[str, Any]], min_duration_s: float) -> str:
    def all_of(name: str) -> str:
        return " or ".join(sorted({str(row[name]) for row in rows}))

    repetitions = [row["repetitions"] for row in rows]
    idle = [row["idle_power_w"] for row in rows]
    return (
        f"Estimator {all_of('estimator')} of {all_of('power_field')}; {all_of('idle_kind')} idle "
        f"{_span(idle, '.4g')} W; K = {_span(repetitions, 'd')} windows of at least "
        f"{min_duration_s:g} s; preheating {all_of('preheat')}; weights {all_of('weights')}. "
        f"Source: {all_of('source')}."
    )


def _span(values: Sequence[Any], style: str) -> str:
    least, most = format(min(values), style), format(max(values), style)
    return least if least == most else f"{least} to {most}"


def _steps(steps: Sequence[Done]) -> Iterator[str]:
    for step in steps:
        text = f"{step.result.state}, {duration(step.seconds)}: {step.result.note}"
        yield from _entry(step.name, text, 2 if step in failed(steps) else 1)


def _logs(steps: Sequence[Done]) -> str:
    names = ", ".join(PurePath(step.log).name for step in steps)
    return f"{PurePath(steps[0].log).parent}/: {names}"

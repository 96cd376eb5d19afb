"""The passport of a power sensor: how its columns come about, measured with a square wave of load.

Pure analysis of a trace that was polled fast while a load was switched on and off (see
`protocol.passport`). Per power column: how often it updates, over which window it averages, how
far that window lies back, and which share of the time it sees; for the energy counter its tick.
What the record does not give is None with a reason, never a guess.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from nic_energy.energy.estimators import COUNTER, STAMPS
from nic_energy.energy.passport_choice import Choice, choose
from nic_energy.energy.passport_response import Wave, respond, wave_of
from nic_energy.energy.passport_updates import UndeterminedError, Updates, find_updates, period_of
from nic_energy.traces import MeterInfo, PowerField, Trace

OVERLAPPING_DUTY = 1.5
"""From this share on a field is called an average: its windows overlap."""


@dataclass(frozen=True)
class FieldPassport:
    """A power column as measured; times in s, `_u_s` their standard uncertainties.

    `lag_s` is how long before the update the window ended. `duty` is window over period: 1 sees
    all the time, less sees part of it, more has overlapping windows. `step_w` is by how much the
    load moved the column, `stamped` whether the driver's time stamps are those of updates.
    `reasons` say why a figure is None, by its name.
    """

    column: str
    kind: Literal["instant", "average", "interval_mean"]
    update_period_s: float | None = None
    update_period_u_s: float | None = None
    update_jitter_s: float | None = None
    averaging_window_s: float | None = None
    averaging_window_u_s: float | None = None
    lag_s: float | None = None
    lag_u_s: float | None = None
    duty: float | None = None
    duty_u: float | None = None
    step_w: float | None = None
    updates: int = 0
    stamped: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Passport:
    """All power columns, in the meter's order, the counter's tick, and the choice from them.

    `polling_s` is the typical time between two readings, `wave_s` how long the wave lasted.
    """

    fields: tuple[FieldPassport, ...]
    counter_tick_s: float | None
    counter_tick_u_s: float | None
    counter_reason: str | None
    polling_s: float | None
    wave_s: float
    choice: Choice

    def applied_to(self, meter: MeterInfo) -> MeterInfo:
        """The meter with what was measured instead of what is documented, the chosen field first.

        A figure that was not measured keeps its documented value.
        """
        return replace(meter, power_fields=_applied(self.fields, meter, self.choice.power_field))


def passport_of(trace: Trace) -> Passport:
    """The passport from the record of a square wave.

    Args:
        trace: samples polled fast, with intervals `wave_on` and `wave_off`.
    """
    wave: Wave | None = None
    refused = ""
    try:
        wave = wave_of(trace.meta.intervals)
    except UndeterminedError as error:
        refused = str(error)
    columns = trace.meta.meter.power_fields
    found = [_field(trace, documented, wave, refused) for documented in columns]
    fields = tuple(passport for passport, _ in found)
    tick, tick_u, reason = _counter_tick(trace)
    applied = _applied(fields, trace.meta.meter, columns[0].column)
    marks = trace.meta.intervals
    return Passport(
        fields=fields,
        counter_tick_s=tick,
        counter_tick_u_s=tick_u,
        counter_reason=reason,
        polling_s=next((polling for _, polling in found if polling), None),
        wave_s=max((m.end_s for m in marks), default=0.0)
        - min((m.start_s for m in marks), default=0.0),
        choice=choose(applied, {each.column for each in fields if each.duty is not None}),
    )


def _field(
    trace: Trace, documented: PowerField, wave: Wave | None, refused: str
) -> tuple[FieldPassport, float | None]:
    """(passport of a column, typical time between its readings)."""
    found = FieldPassport(documented.column, documented.kind)
    try:
        updates = _updates(trace, documented.column)
    except UndeterminedError as error:
        return replace(found, reasons=_reasons(str(error), PERIOD, WINDOW, LAG, DUTY)), None
    found = replace(found, updates=len(updates.values), stamped=updates.stamped)
    found = _with_period(found, updates)
    if wave is None:
        found = _refuse(found, refused, WINDOW, LAG)
    elif found.update_period_s is None:
        found = _refuse(found, "its updates cannot be told apart", WINDOW, LAG)
    else:
        found = _with_response(found, updates, wave)
    return _with_duty(found), updates.polling_s


PERIOD, WINDOW, LAG, DUTY = "update_period_s", "averaging_window_s", "lag_s", "duty"


def _reasons(reason: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, reason)


def _refuse(found: FieldPassport, reason: str, *names: str) -> FieldPassport:
    return replace(found, reasons={**found.reasons, **_reasons(reason, *names)})


def _updates(trace: Trace, column: str) -> Updates:
    stamps = STAMPS.get(column)
    return find_updates(
        trace.column("time_s"),
        trace.column(column),
        trace.column("wall_time_s"),
        trace.column(stamps) if stamps else None,
    )


def _with_period(found: FieldPassport, updates: Updates) -> FieldPassport:
    try:
        period = period_of(updates)
    except UndeterminedError as error:
        return _refuse(found, str(error), PERIOD)
    return replace(
        found,
        update_period_s=period.period_s,
        update_period_u_s=period.u_s,
        update_jitter_s=period.jitter_s,
    )


def _with_response(found: FieldPassport, updates: Updates, wave: Wave) -> FieldPassport:
    try:
        response = respond(updates, wave)
    except UndeterminedError as error:
        return _refuse(found, str(error), WINDOW, LAG)
    return replace(
        found,
        averaging_window_s=response.window_s,
        averaging_window_u_s=response.window_u_s,
        lag_s=response.lag_s,
        lag_u_s=response.lag_u_s,
        step_w=response.step_w,
    )


def _with_duty(found: FieldPassport) -> FieldPassport:
    """Window over period, and the kind that follows from it."""
    window, period = found.averaging_window_s, found.update_period_s
    if window is None or period is None:
        return _refuse(found, "window or update period is not known", DUTY)
    share = window / period
    relative = math.hypot(
        (found.averaging_window_u_s or 0.0) / window, (found.update_period_u_s or 0.0) / period
    )
    kind: Literal["instant", "average"] = "average" if share >= OVERLAPPING_DUTY else "instant"
    return replace(found, kind=kind, duty=share, duty_u=share * relative)


def _counter_tick(trace: Trace) -> tuple[float | None, float | None, str | None]:
    """(tick of the energy counter, its uncertainty, why there is none)."""
    try:
        tick = period_of(find_updates(trace.column("time_s"), trace.column(COUNTER)))
    except UndeterminedError as error:
        return None, None, str(error)
    return tick.period_s, tick.u_s, None


def _applied(
    fields: Sequence[FieldPassport], meter: MeterInfo, first: str
) -> tuple[PowerField, ...]:
    measured = {each.column: each for each in fields}
    known = [
        _measured(each, measured[each.column]) if each.column in measured else each
        for each in meter.power_fields
    ]
    return tuple(sorted(known, key=lambda each: each.column != first))


def _measured(documented: PowerField, found: FieldPassport) -> PowerField:
    """A power field with its measured figures: readings stand for the middle of their window."""
    period, window, lag = found.update_period_s, found.averaging_window_s, found.lag_s
    if period is not None:
        documented = replace(documented, update_period_s=period)
    if window is None or lag is None:
        return documented
    return replace(documented, kind=found.kind, averaging_window_s=window, lag_s=lag + window / 2)


def as_document(passport: Passport) -> dict[str, Any]:
    """For passport.json; `from_document` is the reverse."""
    document = asdict(passport)
    document["fields"] = list(document["fields"])
    return document


def from_document(document: Mapping[str, Any]) -> Passport:
    """The passport of a document; keys that are not of a passport are ignored.

    Raises:
        KeyError, TypeError: it is not that of a passport.
    """
    read: Mapping[str, Callable[[Any], Any]] = {
        "fields": lambda items: tuple(FieldPassport(**item) for item in items),
        "choice": lambda item: Choice(**item),
    }
    names = Passport.__dataclass_fields__
    return Passport(**{n: read.get(n, lambda value: value)(document[n]) for n in names})

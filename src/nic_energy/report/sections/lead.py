"""What the joules are of, whose they are and how they came about."""

import pandas as pd

from nic_energy.models.uncertainty import numbers
from nic_energy.report.blocks import Block, Facts, Text
from nic_energy.report.context import Context
from nic_energy.report.sections import Section
from nic_energy.report.statements import calibrated
from nic_energy.vocabulary import SOURCE_NOTES


def body(context: Context) -> list[Block]:
    """Source, device, estimator, idle, and how sure all this is."""
    devices = context.values("device_name")
    estimators, fields = context.values("estimator"), context.values("power_field")
    on = f": {', '.join(devices)}" if devices else ""
    read = f" from {', '.join(fields)}" if fields else ""
    text = (
        f"{on}. They are dynamic energies of one execution of the encoder-decoder chain, computed "
        f"with the estimator {', '.join(estimators)}{read}; the idle power subtracted is "
        f"{idle(context)}. {calibrated(context.results.energy)}"
    )
    return [
        Text(text, "source", strong=f"All joules on this page are {context.sources_text}"),
        Text(counts(context)),
        Facts(facts(context)),
    ]


def counts(context: Context) -> str:
    """How many modalities there are, are missing, did not converge, and how wide intervals are."""
    energy, missing = context.results.energy, context.results.missing
    unconverged = int((energy["converged"] == False).sum())  # noqa: E712 - may be missing
    width = median(energy["ci_half_width_percent"])
    expanded = median(100 * numbers(energy, "expanded_uncertainty_j") / energy["energy_j"].abs())
    text = f"{len(energy)} {'modality' if len(energy) == 1 else 'modalities'}"
    text += f", {len(missing)} missing" if len(missing) else ""
    text += (
        f"; {unconverged} did not reach the width that the stopping rule asks for"
        if unconverged
        else ""
    )
    text += (
        f". Median half width of the confidence interval: {width} % of the mean" if width else ""
    )
    return text + (f"; median expanded uncertainty (95 %): {expanded} %." if expanded else ".")


def facts(context: Context) -> list[tuple[str, str]]:
    """The same and more, to find at a glance; what is not known is left out."""
    energy = context.results.energy
    rows = [
        ("Source", ", ".join(SOURCE_NOTES[source] for source in context.sources)),
        ("Device", ", ".join(context.values("device_name"))),
        ("Networks", ", ".join(context.networks)),
        ("Images", f"{energy['image'].nunique()}, {pixels(energy)}"),
        ("Part of the codec", ", ".join(context.values("part"))),
        ("Estimator", ", ".join(context.values("estimator"))),
        ("Idle power subtracted", idle(context)),
        ("Weights", ", ".join(context.values("weights"))),
        ("Sessions", str(len(context.values("session"))) if context.values("session") else ""),
        ("Windows per modality (K)", spread(energy["repetitions"])),
        ("Executions per window (M)", spread(energy["executions"])),
    ]
    return [(name, value) for name, value in rows if value]


def pixels(energy: pd.DataFrame) -> str:
    """Least and most pixels."""
    least, most = energy["pixels"].min() / 1e6, energy["pixels"].max() / 1e6
    return f"{least:.3g} Mpx" if least == most else f"{least:.3g} to {most:.3g} Mpx"


def spread(column: pd.Series) -> str:
    """Least, median and most of a whole number; empty where it is not known."""
    known = pd.to_numeric(column).dropna()
    if known.empty:
        return ""
    least, middle, most = (int(value) for value in (known.min(), known.median(), known.max()))
    return str(least) if least == most else f"{least} to {most}, median {middle}"


def median(percent: pd.Series) -> str | None:
    """The median of what is known, to two digits or the whole number."""
    known = percent.dropna()
    if known.empty:
        return None
    found = float(known.median())
    return f"{found:.0f}" if found >= 100 else f"{found:.2g}"


def idle(context: Context) -> str:
    """Median and kind of the idle power that was subtracted."""
    power = context.results.energy["idle_power_w"].dropna()
    if power.empty:
        return "not stated"
    return f"{power.median():.2f} W ({', '.join(context.values('idle_kind'))})"


SECTION = Section(10, "measured", "What these joules are", body)

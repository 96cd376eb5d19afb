"""The comparison with an external meter."""

from nic_energy.report.blocks import Block, Figures, Sentences
from nic_energy.report.context import Context
from nic_energy.report.external import external_sentences
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """Gain, offset and correlation, where there was a meter."""
    said = external_sentences(context.external)
    if not said:
        return []
    shown = context.shown("external_meter")
    return [Sentences(said), Figures(shown)] if shown else [Sentences(said)]


SECTION = Section(130, "external-meter", "External meter", body)

"""The idle powers, and what another one would do to the energies."""

from nic_energy.report.blocks import Block, Figures, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.grids import IDLE_VIEW, grid
from nic_energy.report.idle import idle_sentence, idle_table
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """Which idle was subtracted, and all that were recorded."""
    results = context.results
    idles = idle_table(results.energy, results.idle)
    said = idle_sentence(results.energy)
    shown = context.shown("idle_drift")
    figures: list[Block] = [Figures(shown)] if shown else []
    if idles is None:
        return [Text(said), *figures]
    return [
        Text(
            f"{said} “Energies with it” is what the median energy would change by if that idle "
            "were subtracted instead; ± is one standard uncertainty."
        ),
        Table(grid(idles, IDLE_VIEW), "Idle powers, by when they were recorded"),
        *figures,
    ]


SECTION = Section(140, "idle", "Idle power", body)

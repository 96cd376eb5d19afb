"""What the uncertainty of the energies is made of, and whose joules they are."""

from nic_energy.report.anchors import anchor_sentences
from nic_energy.report.blocks import Block, Figures, Sentences, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.sections import Section
from nic_energy.report.statements import (
    calibration_sentence,
    diagnostic_sentences,
    uncertainty_grid,
)


def body(context: Context) -> list[Block]:
    """The budget, what all windows show together, and the calibration."""
    energy = context.results.energy
    found: list[Block] = []
    budget = uncertainty_grid(energy)
    if budget:
        found += [
            Text(
                "Medians over the modalities, as percent of the energy: U the expanded "
                "uncertainty (95 %), then the standard uncertainties that it is made of."
            ),
            Table(budget, "Uncertainty budget by network and level"),
        ]
    else:
        found.append(Text("These energies carry no uncertainty budget."))
    shown = context.shown("uncertainty_budget")
    if shown:
        found.append(Figures(shown))
    diagnostics = diagnostic_sentences(energy, context.results.diagnostics)
    if diagnostics:
        found += [
            Text("What the windows of all modalities show together (± one standard uncertainty):"),
            Sentences(diagnostics),
        ]
    anchors = anchor_sentences(context.results.anchor_drift)
    if anchors:
        found.append(Sentences(anchors))
    return [*found, Text(calibration_sentence(energy, context.calibration))]


SECTION = Section(120, "uncertainty", "Uncertainty", body)

"""One model over all networks."""

from nic_energy.report.blocks import Block, Figures, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.judged import candidate_grid, joint_sentences
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """What the model is, how far it can be trusted, and what else was tried."""
    judged = context.results.judged
    if judged is None:
        return []
    found: list[Block] = [Text(" ".join(joint_sentences(judged.joint)))]
    if judged.joint["fitted"]:
        found.append(Table(candidate_grid(judged.candidates), "Models that were tried"))
    shown = context.shown("joint_model")
    return [*found, Figures(shown)] if shown else found


SECTION = Section(110, "joint", "A network that was never measured", body)

"""The power trace of any modality."""

from nic_energy.report.blocks import Block, Figures, Text, TraceViewer
from nic_energy.report.context import Context
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """A trace to choose, or the one figure where there are no traces to choose from."""
    static = context.shown("power_trace")
    if context.traces is None or not context.traces.shown:
        return [Figures(static)] if static else []
    return [
        Text(context.traces.sentence()),
        TraceViewer(
            "Power over time. Dashed: the marks of the windows, filled between where the window "
            "counts. Grey: idle; yellow: preheating; blue: settling. Dotted: the idle power that "
            "the stopping rule subtracted.",
            static,
        ),
    ]


SECTION = Section(40, "traces", "Power traces", body)

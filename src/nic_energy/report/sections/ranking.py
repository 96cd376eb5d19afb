"""Which network needs less energy than which."""

from nic_energy.report.blocks import Block, Sentences, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.grids import RANKING_VIEW, grid
from nic_energy.report.ranks import ranking_sentences, ranking_table
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """The rankings in words and as a table."""
    ranking = context.results.ranking
    return [
        Text(
            "The least energy first. Networks are told apart at 95 % over all pairs of a ranking "
            "(Holm); what both share, such as images, idle and gain, cancels. u is a standard "
            "uncertainty."
        ),
        Sentences(ranking_sentences(ranking)),
        Table(grid(ranking_table(ranking), RANKING_VIEW), "Ranks by slope and by mean energy"),
    ]


SECTION = Section(60, "ranking", "Ranking", body)

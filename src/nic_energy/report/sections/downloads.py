"""The tables as files."""

from nic_energy.report.blocks import Block, Download, Downloads, Text
from nic_energy.report.context import Context
from nic_energy.report.embed import human_size
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """Every file that the page was made of, from within the page where there is room."""
    if not context.inputs:
        return []
    files = [
        Download(file.name, human_size(file.size), context.payloads.get(file.name))
        for file in context.inputs
    ]
    outside = [file.name for file in files if file.payload is None]
    beside = (
        f" Too large to lie inside it, and linked beside it instead: {', '.join(outside)}."
        if outside
        else ""
    )
    return [
        Text(
            "The tables lie inside this page, so that it alone is enough to work with its "
            f"numbers.{beside} What a column means: docs/data_dictionary.md of nic-energy. The "
            "raw samples lie in raw/ and traces/ beside the page."
        ),
        Downloads(files),
    ]


SECTION = Section(200, "files", "Files", body)

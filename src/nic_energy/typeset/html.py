"""A table as a page of its own."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nic_energy.typeset.table import PrintTable

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 2rem; }
table { border-collapse: collapse; font-size: .9rem; }
thead tr:first-child th { border-top: 2px solid; }
tbody tr:last-child td { border-bottom: 2px solid; }
caption { text-align: left; padding-bottom: .6rem; max-width: 60rem; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; }
th.span { text-align: center; border-bottom: 1px solid #888; }
thead tr:last-child th { border-bottom: 1px solid; }
tr.rule td { padding-top: .7rem; }
.text { text-align: left; }
p { font-size: .85rem; color: #555; max-width: 60rem; margin: .4rem 0; }
"""


def html_page(table: "PrintTable") -> str:
    """A self-contained page; everything that came from outside is escaped."""
    spans = ""
    if table.spans:
        cells = "".join(
            f'<th colspan="{columns}"{_class("span" if title else "")}>{escape(title)}</th>'
            for title, columns in table.spans
        )
        spans = f"<tr>{cells}</tr>\n"
    head = "".join(_cell("th", title, n < table.text_columns) for n, title in enumerate(table.head))
    body = "\n".join(
        f"<tr{_class('rule' if number in table.rules else '')}>"
        + "".join(_cell("td", text, n < table.text_columns) for n, text in enumerate(row))
        + "</tr>"
        for number, row in enumerate(table.rows)
    )
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(table.name)}</title>
<style>{STYLE}</style>
</head>
<body>
<table>
<caption>{escape(table.caption)}</caption>
<thead>
{spans}<tr>{head}</tr>
</thead>
<tbody>
{body}
</tbody>
</table>
{notes}
</body>
</html>
"""


def _cell(tag: str, text: str, is_text: bool) -> str:
    return f"<{tag}{_class('text' if is_text else '')}>{escape(text)}</{tag}>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""

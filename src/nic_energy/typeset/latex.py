"""A table as LaTeX, with booktabs and nothing else."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nic_energy.typeset.table import PrintTable

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "ε̄": r"$\bar\varepsilon$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≈": r"$\approx$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "µ": r"$\mu$",
    "−": r"$-$",
    "–": "--",
    "⁻⁵": r"$^{-5}$",
    "²": r"$^2$",
    "“": "``",
    "”": "''",
    "’": "'",
    "…": r"\ldots{}",
    "\N{NO-BREAK SPACE}": "~",
}
_PATTERN = re.compile("|".join(map(re.escape, sorted(SPECIAL, key=len, reverse=True))))


def escaped(text: str) -> str:
    """Text as LaTeX: what is special is escaped, symbols become their commands."""
    return _PATTERN.sub(lambda match: SPECIAL[match[0]], text)


def latex_table(table: "PrintTable") -> str:
    """A `table*` environment; a document needs `booktabs` and UTF-8."""
    columns = "l" * table.text_columns + "r" * (len(table.head) - table.text_columns)
    lines = [
        "% Needs \\usepackage{booktabs}; written by nic-energy.",
        r"\begin{table*}",
        r"\centering",
        r"\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{re.sub('[^A-Za-z0-9-]', '-', table.name)}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_spans(table.spans),
        _line(table.head),
        r"\midrule",
    ]
    for number, row in enumerate(table.rows):
        if number in table.rules:
            lines.append(r"\addlinespace")
        lines.append(_line(row))
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\raggedright {escaped(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table*}", ""])


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def _spans(spans: Sequence[tuple[str, int]]) -> list[str]:
    if not spans:
        return []
    cells, rules, first = [], [], 1
    for title, columns in spans:
        cells.append(rf"\multicolumn{{{columns}}}{{c}}{{{escaped(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{first}-{first + columns - 1}}}")
        first += columns
    return [" & ".join(cells) + r" \\", "".join(rules)]

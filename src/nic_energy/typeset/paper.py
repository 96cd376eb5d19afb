"""The paper's Table 1 and 2 and the numbers of its sections 4 and 5, ours beside the printed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from nic_energy import tables
from nic_energy.typeset.cells import NOTHING, number, plus_minus, ranged
from nic_energy.typeset.claims import claim_sentences
from nic_energy.typeset.table import PrintTable
from nic_energy.vocabulary import PREDICTOR_WORDS, SOURCE_NOTES

PAPER = "Herglotz et al., ICIP 2023"
HEAD = ["setup", "source", "part", "estimator"]
ROW = ["network", "abbreviation", "level"]
BESIDE = ("ours", "printed", "ratio")

Row = Mapping[Any, Any]


WAITS = (
    "β on a GPU with CompressAI 1.2.8 includes 12 waits for the device in each execution, which "
    "CompressAI 1.2.4, of the paper's time, did not make."
)
"""Device-to-host copies of the entropy bottleneck: docs/protocol.md."""


def paper_tables(
    comparison: pd.DataFrame, predictors: pd.DataFrame, complexity: pd.DataFrame
) -> list[PrintTable]:
    """All tables of a set-up.

    Args:
        comparison: paper_comparison.csv. predictors: predictor_correlations.csv.
        complexity: complexity.csv.
    """
    return [
        table1(comparison, complexity),
        table2(comparison),
        section4(comparison),
        section5(comparison),
        predictor_table(predictors),
    ]


def ours_of(table: pd.DataFrame) -> str:
    """A sentence that says whose joules a table shows and where they come from."""
    known = table.dropna(subset=["source"])
    if known.empty:
        return "No energies of ours."
    words = {name: ", ".join(sorted(map(str, set(known[name].dropna())))) for name in HEAD}
    notes = "; ".join(SOURCE_NOTES[source] for source in sorted(set(known["source"])))
    return (
        f"Ours: set-up {words['setup']}, {words['part']}, estimator {words['estimator']}; "
        f"joules {notes}."
    )


def wide(rows: pd.DataFrame, quantities: Sequence[str]) -> pd.DataFrame:
    """A row per network and level; four columns a quantity: ours, its U, printed, ratio."""
    records: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows[rows["quantity"].isin(quantities)].to_dict("records"):
        head = {name: row[name] for name in (*HEAD, *ROW)}
        key = tuple(map(str, head.values()))
        record = records.setdefault(key, dict(head))
        name = row["quantity"]
        record[name] = row["ours"]
        record[f"{name}_expanded_uncertainty"] = row["expanded_uncertainty"]
        record[f"published_{name}"] = row["printed"]
        record[f"{name}_ratio"] = row["ratio"]
    values = [
        column
        for name in quantities
        for column in (name, f"{name}_expanded_uncertainty", f"published_{name}", f"{name}_ratio")
    ]
    data = tables.frame(records.values(), [*HEAD, *ROW, *values])
    return data.astype(dict.fromkeys(values, float))


def table1(comparison: pd.DataFrame, complexity: pd.DataFrame) -> PrintTable:
    """Networks, parameters, padding and MAC operations."""
    names = ("pad_multiple", "parameters", "kmac_per_pixel", "kmac_per_pixel_second_layer")
    data = wide(comparison[comparison["where"] == "Table 1"], names)
    data = data.drop(columns=[*HEAD, *(f"{name}_expanded_uncertainty" for name in names)])
    levels = complexity.groupby(["network", "level"])["quality"].agg(["min", "max"])
    data.insert(3, "qualities", [
        _span(*levels.loc[key]) for key in zip(data["network"], data["level"], strict=True)
    ])  # fmt: skip
    rows = [
        [
            row["abbreviation"], row["level"], row["qualities"],
            number(row["pad_multiple"], ".0f"), number(row["published_pad_multiple"], ".0f"),
            number(row["parameters"], ",.0f"), number(row["published_parameters"], ",.0f"),
            *_three(row, names[2], ".2f"), *_three(row, names[3], ".2f"),
        ]
        for row in data.to_dict("records")
    ]  # fmt: skip
    return PrintTable(
        "table1",
        f"Networks and their complexity, counted, beside Table 1 of {PAPER}; kMAC per pixel of "
        "convolution and linear layers, of all and of those up to the second downsampling step.",
        [("", 3), ("padding", 2), ("parameters", 2), ("kMAC/px", 3), ("kMAC/px to 2nd", 3)],
        ["network", "level", "q", *BESIDE[:2], *BESIDE[:2], *BESIDE, *BESIDE],
        3,
        rows,
        [
            "The printed kMAC are cut off after one digit. Where a ratio is above 1, the printed "
            "value leaves out operations that the network executes."
        ],
        data,
    )


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


def _three(row: Row, name: str, form: str, factor: float = 1.0) -> list[str]:
    return [
        number(row[name] * factor, form),
        number(row[f"published_{name}"] * factor, "g"),
        number(row[f"{name}_ratio"], ".3f"),
    ]


def table2(comparison: pd.DataFrame) -> PrintTable:
    """alpha, beta and the cross-validated error."""
    names = ("alpha_j_per_pixel", "beta_j", "mean_relative_error_percent")
    data = wide(comparison[comparison["where"] == "Table 2"], names)
    forms = ((1e5, ".2f"), (1.0, ".2f"), (1.0, ".2f"))
    rows = []
    for row in data.to_dict("records"):
        cells = [row["abbreviation"], row["level"]]
        for name, (factor, form) in zip(names, forms, strict=True):
            half = row[f"{name}_expanded_uncertainty"]
            cells += [
                plus_minus(row[name] * factor, half * factor),
                number(row[f"published_{name}"] * factor, form),
                number(row[f"{name}_ratio"], ".2f"),
            ]
        rows.append(cells)
    parts, rows = _with_part(data, rows)
    return PrintTable(
        "table2",
        f"E = α·S + β per network and level, beside Table 2 of {PAPER}, which is of another GPU. "
        f"{ours_of(comparison)}",
        [
            ("", 2 + len(parts)),
            ("α (10⁻⁵ J/px)", 3),
            ("β (J)", 3),
            ("ε̄ (%)", 3),
        ],
        [*parts, "network", "level", *(title for _ in names for title in ("ours ± U",
         *BESIDE[1:]))],
        2 + len(parts),
        rows,
        [
            "U: expanded uncertainty with a coverage of 95 %, for other images, idle and gain "
            "(α, β); for other images, given the fitted lines (ε̄). Ratio: ours over printed.",
            WAITS,
        ],
        data,
    )  # fmt: skip


def _with_part(data: pd.DataFrame, rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """A first column with the part where there is more than one."""
    if data["part"].nunique() < 2:
        return [], rows
    return ["part"], [[str(p), *row] for p, row in zip(data["part"], rows, strict=True)]


QUANTITY_WORDS: Mapping[str, tuple[str, float]] = {
    "external_meter_pearson_r": ("r of sensor and external meter", 1),
    "pearson_r": ("r of energy and pixels", 1),
    "largest_mean_relative_error_percent": ("largest ε̄ (%)", 1),
    "largest_offset_share_percent": ("largest β/(αS + β) at 1120×760 (%)", 1),
    "largest_offset_share_of_energies_percent": ("largest β/E from 1120×760 on (%)", 1),
    "steepest_over_flattest": ("steepest over flattest α", 1),
    "networks_with_steeper_high_level": ("networks with a steeper high level", 1),
    "slope_fit_error_percent": ("mean relative error of the line (%)", 1),
    "slope_fit_slope": ("slope (nJ/kMAC)", 1e9),
    "slope_fit_intercept": ("intercept (µJ/px)", 1e6),
    "slope_fit_pearson_r": ("r of α and MACs", 1),
}
"""In words, and the factor on the values there."""

RELATION_WORDS = {"=": "", "~": "≈ ", "<": "< ", "<=": "≤ "}
STATEMENT_VALUES = ("ours", "low", "high", "printed", "from_printed_tables", "ratio")
STATEMENT_HEAD = ["ours", "printed", "from its tables", "ratio", ""]


def section4(comparison: pd.DataFrame) -> PrintTable:
    """Correlations, largest errors, offset share, ratio of the slopes."""
    data = comparison[comparison["where"].isin(["section 3", "section 4"])]
    return _statements(
        "section4",
        f"What sections 3 and 4 of {PAPER} state, for ours. {ours_of(comparison)}",
        data,
        ["quantity", "network", "level"],
        lambda row: [QUANTITY_WORDS[row["quantity"]][0], _text(row["abbreviation"]),
                     _text(row["level"])],
        [
            "Ranges: 95 % for other images; of the offset share and of the slopes also for idle "
            "and gain. “From its tables” is what the same procedure makes of the paper's own "
            "Tables 1 and 2, as printed."
        ],
    )  # fmt: skip


def section5(comparison: pd.DataFrame) -> PrintTable:
    """The slope over MAC operations."""
    data = comparison[comparison["where"] == "section 5"]
    return _statements(
        "section5",
        f"Slope α over MAC operations per pixel, beside section 5 of {PAPER}. "
        f"{ours_of(comparison)}",
        data,
        ["over", "quantity"],
        lambda row: [PREDICTOR_WORDS[row["predictor"]], QUANTITY_WORDS[row["quantity"]][0]],
        [
            "Ranges: the least and the largest when one network is left out. “From its tables” is "
            "the same fit through the α of the paper's Table 2, as printed."
        ],
    )


def _statements(
    name: str,
    caption: str,
    data: pd.DataFrame,
    titles: Sequence[str],
    text: Callable[[Row], list[str]],
    notes: Sequence[str],
) -> PrintTable:
    marks: dict[str, str] = {}
    rows = []
    for row in data.astype(dict.fromkeys(STATEMENT_VALUES, float)).to_dict("records"):
        _, factor = QUANTITY_WORDS[row["quantity"]]
        rows.append([*text(row), *_statement_cells(row, factor, _mark(row["note"], marks))])
    parts, rows = _with_part(data.dropna(subset=["part"]), rows)
    rules = [
        i for i in range(1, len(rows)) if rows[i][: len(parts) + 1] != rows[i - 1][: len(parts) + 1]
    ]
    head = [*parts, *titles, *STATEMENT_HEAD]
    if marks:
        notes = [*notes, " ".join(f"{mark} {note}." for note, mark in marks.items())]
    return PrintTable(name, caption, (), head, len(parts) + len(titles), rows, notes, data, rules)


def _mark(note: Any, marks: dict[str, str]) -> str:
    """The number of a note, a new one where it is new; nothing without a note."""
    if pd.isna(note) or note == "":
        return ""
    return marks.setdefault(str(note), f"[{len(marks) + 1}]")


def _statement_cells(row: Row, factor: float, mark: str) -> list[str]:
    ours, low, high = (row[name] * factor for name in ("ours", "low", "high"))
    printed = number(row["printed"] * factor, "g")
    if printed != NOTHING:
        printed = RELATION_WORDS[row["relation"]] + printed
    return [
        ranged(ours, low, high),
        printed,
        number(row["from_printed_tables"] * factor, ".4g"),
        number(row["ratio"], ".3f"),
        mark,
    ]


def _text(value: Any) -> str:
    return NOTHING if pd.isna(value) or value == "" else str(value)


PREDICTOR_VALUES = (
    "pearson_r",
    "pearson_r_low",
    "pearson_r_high",
    "mean_relative_error_percent",
    "left_out_error_percent",
    "difference_r",
    "difference_r_low",
    "difference_r_high",
    "sign_flip_p",
)


def predictor_table(predictors: pd.DataFrame) -> PrintTable:
    """Energy per pixel against every network parameter."""
    rows = []
    shown = predictors.astype(dict.fromkeys(PREDICTOR_VALUES, float))
    for row in shown.to_dict("records"):
        planned = " *" if row["planned"] else ""
        rows.append(
            [
                PREDICTOR_WORDS[row["predictor"]] + planned,
                _rank(row["rank"], row["rank_best"], row["rank_worst"]),
                ranged(row["pearson_r"], row["pearson_r_low"], row["pearson_r_high"], ".3f"),
                number(row["mean_relative_error_percent"], ".1f"),
                number(row["left_out_error_percent"], ".1f"),
                ranged(
                    row["difference_r"], row["difference_r_low"], row["difference_r_high"], ".3f"
                ),
                number(row["sign_flip_p"], ".2f"),
            ]
        )
    parts, rows = _with_part(predictors, rows)
    return PrintTable(
        "predictors",
        "Slope α against network parameters, the closest first; per network and level. "
        f"{ours_of(predictors)}",
        (),
        [*parts, "parameter", "rank", "r", "error (%)", "left out (%)", "|r| of MACs less", "p"],
        1 + len(parts),
        rows,
        [
            "Ranges: 95 %, over resampled networks; descriptive. Error: in-sample mean relative "
            "error of the line; left out: of each network by the line of the others. p: networks' "
            "left-out errors against those of MACs, signs flipped, not corrected for the number of "
            "comparisons. *: comparison fixed beforehand.",
            *(text for _, group in predictors.groupby(HEAD) for text in claim_sentences(group)),
        ],
        predictors,
    )


def _rank(rank: Any, best: Any, worst: Any) -> str:
    if pd.isna(rank):
        return NOTHING
    return f"{rank:.0f}" if pd.isna(best) else f"{rank:.0f} ({best:.0f} to {worst:.0f})"

"""Numbers as text, rounded by how well they are known."""

import math

NOTHING = "–"


def plus_minus(value: float | None, half_width: float | None) -> str:
    """`value ± half_width`, both to two significant digits of the latter (GUM 7.2.6).

    The value alone, to four significant digits, where its uncertainty is not known.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if half_width is None or not half_width > 0 or math.isinf(half_width):
        return number(value, ".4g")
    form = f".{_places(half_width)}f"
    return f"{number(value, form)} ± {number(half_width, form)}"


def ranged(value: float | None, low: float | None, high: float | None, form: str = "") -> str:
    """`value (low to high)`, to two significant digits of half the width unless `form` says else.

    The value alone, in `form` or to four significant digits, where the range is not known.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    ends = [end for end in (low, high) if end is not None and math.isfinite(end)]
    if len(ends) < 2 or ends[1] <= ends[0]:
        return number(value, form or ".4g")
    form = form or f".{_places((ends[1] - ends[0]) / 2)}f"
    return f"{number(value, form)} ({number(ends[0], form)} to {number(ends[1], form)})"


def number(value: float | None, form: str) -> str:
    """A number in a format, with a proper minus sign, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return format(value, form).replace("-", "−")


def _places(half_width: float) -> int:
    return max(0, 1 - math.floor(math.log10(half_width)))

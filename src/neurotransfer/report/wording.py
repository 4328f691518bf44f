"""Numbers and lists as words."""

import math
from collections.abc import Sequence

from neurotransfer.report.folder import Task
from neurotransfer.statistics import SCORES

NONE = "–"


def score_label(score: str, task: Task) -> str:
    """What an axis says of a score, with the unit where it has one."""
    return f"{SCORES[score].label} ({task.unit})" if score == "mae" and task.unit else SCORES[score].label


def size_key(n: int) -> str:
    """A size as the value of a choice; no bare number, which a browser would put into an order of its own."""
    return f"n{n}"


def number(value: float, digits: int = 3) -> str:
    """A number with fixed digits after the point, a dash where it is missing.

    Example:
        >>> number(0.12345), number(-0.5, 1), number(-0.0001), number(float("nan"))
        ('0.123', '−0.5', '0.000', '–')
    """
    if math.isnan(value):
        return NONE
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def percent(share: float) -> str:
    """A share as whole percent.

    Example:
        >>> percent(0.556), percent(0.001), percent(0.999)
        ('56 %', '< 1 %', '> 99 %')
    """
    if 0 < share < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 < share < 1 else f"{100 * share:.0f} %"


def probability(p: float) -> str:
    """A p-value: three digits, or that it is smaller than they can show.

    Example:
        >>> probability(0.0312), probability(0.0002), probability(float("nan"))
        ('0.031', '< 0.001', '–')
    """
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equals(p: float) -> str:
    """A p-value as it stands in a sentence.

    Example:
        >>> p_equals(0.2), p_equals(0.0001)
        ('p = 0.200', 'p < 0.001')
    """
    text = probability(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def joined(names: Sequence[str], last: str = "and") -> str:
    """Names as a list in a sentence, with `last` before the last one.

    Example:
        >>> joined(["a", "b", "c"])
        'a, b and c'
    """
    return ", ".join(names[:-1]) + (f" {last} " if len(names) > 1 else "") + "".join(names[-1:])


def duration(seconds: float) -> str:
    """A time in the unit that reads best.

    Example:
        >>> duration(42.4), duration(600), duration(9000)
        ('42 seconds', '10 minutes', '2.5 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} second{'s' * (round(seconds) != 1)}"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"

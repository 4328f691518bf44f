"""How much of a target goes with a group, a site for example: the share of its variance between them, held against chance."""

from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream

N_PERMUTATIONS = 999
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Between:
    """What of a target lies between groups.

    Attributes:
        share: of the variance, without what chance puts between groups (epsilon squared, Kelley 1935); 0 or below where nothing.
        p: the share of shuffles of the people that put as much between the groups.
        n: people who count.
        n_groups: groups that they are of.
        effective_groups: by how many groups of one size the people are as uneven, 1 to n_groups.
    """

    share: float
    p: float
    n: int
    n_groups: int
    effective_groups: float


def between(
    values: np.ndarray,
    groups: np.ndarray,
    *,
    is_class: bool = False,
    n_permutations: int = N_PERMUTATIONS,
    generator: np.random.Generator | None = None,
) -> Between:
    """How much of the variance of a target lies between groups of people.

    Of classes it is the variance of their indicators, summed, so that for two classes the share is the square of Cramér's V. The
    effective number of groups is one over the chance that two people are of the same one (Simpson 1949).

    Args:
        values: of the target, (n,), one a person; NaN where missing.
        groups: of the people, (n,), any values that can be compared as text; whoever has None counts nowhere.
        is_class: whether values are places of classes.
        n_permutations: how often people are shuffled; p is (1 + as large or larger) / (1 + shuffles).
        generator: of the shuffles; without one, the same every time.

    Raises:
        InputError: for unlike lengths, fewer than two groups, as many groups as people, or a target without variance.

    Example:
        >>> found = between(np.array([1.0, 2.0, 1.5, 8.0, 9.0, 8.5]), np.array(list("aaabbb")))
        >>> round(found.share, 2), found.n_groups, found.effective_groups
        (0.98, 2, 2.0)
    """
    values, groups = np.asarray(values, float), np.asarray(groups, object)
    if values.shape != groups.shape or values.ndim != 1:
        raise InputError(f"values have shape {values.shape} and groups {groups.shape}; allowed: the same (n,)")
    known = np.isfinite(values) & np.array([group is not None for group in groups], bool)
    names, codes = np.unique(groups[known].astype(str), return_inverse=True)
    n, counts = int(known.sum()), np.bincount(codes, minlength=len(names))
    columns = _columns(values[known], is_class)
    total = float((columns**2).sum())
    if not 2 <= len(names) < n or total <= _ROUNDING:
        raise InputError(
            f"what lies between groups takes two groups or more, more people than groups and values that differ, got {n} people of "
            f"{len(names)} groups"
        )
    member = (codes == np.arange(len(names))[:, None]) / np.sqrt(counts)[:, None]
    seen = float(((member @ columns) ** 2).sum()) / total
    generator = generator or stream(0, "between")
    drawn = np.array([((member @ columns[generator.permutation(n)]) ** 2).sum() for _ in range(n_permutations)]) / total
    p = (1 + np.count_nonzero(drawn >= seen - _ROUNDING)) / (1 + n_permutations)
    share = 1 - (1 - seen) * (n - 1) / (n - len(names))
    return Between(share, float(p), n, len(names), float(n**2 / (counts.astype(float) ** 2).sum()))


def _columns(values: np.ndarray, is_class: bool) -> np.ndarray:
    found = (values[:, None] == np.unique(values)).astype(float) if is_class else values[:, None]
    return found - found.mean(0)

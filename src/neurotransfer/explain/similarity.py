"""How alike two sets of features hold people: linear CKA and RSA, with chance by permutation and intervals by halves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from neurotransfer.errors import InputError
from neurotransfer.explain.halves import N_HALVES, halves, interval
from neurotransfer.seeding import stream

N_PERMUTATIONS = 999
# grams of all layers are held, n x n each
MOST_PEOPLE = 500
MEASURES = ("cka", "cka_plain", "rsa")
LEAST_PEOPLE = 4


def gram(features: np.ndarray) -> np.ndarray:
    """Inner products (n, n) of the rows of features (n, p) around their mean.

    Example:
        >>> gram(np.array([[0.0], [2.0]]))
        array([[ 1., -1.],
               [-1.,  1.]])
    """
    around = np.asarray(features, float) - np.mean(features, axis=0, dtype=float)
    # the scale counts for nothing, and products of very small numbers would be lost
    around = around / (np.abs(around).max(initial=0) or 1)
    return around @ around.T


def centred(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix (n, n) without the means of its rows and columns, so that what is left sums to zero."""
    return matrix - matrix.mean(0) - matrix.mean(1)[:, None] + matrix.mean()


def unbiased(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix (n, n) centred so that products of two, summed and divided by n (n - 3), are unbiased.

    The U-centring of Szekely & Rizzo (2014, Annals of Statistics 42:2382): with it the estimate of HSIC of Song et al. (2012, JMLR
    13:1393) is sum_ij A_ij B_ij / (n (n - 3)). The diagonal is zero.

    Example:
        >>> found = unbiased(gram(np.arange(5.0)[:, None]))
        >>> bool(np.abs(found.sum(0)).max() < 1e-9)
        True
    """
    n = len(matrix)
    if n < LEAST_PEOPLE:
        raise InputError(f"how alike features are cannot be told from {n} people; {LEAST_PEOPLE} or more are needed")
    bare = matrix - np.diag(np.diag(matrix))
    rows = bare.sum(0) / (n - 2)
    found = bare - rows - rows[:, None] + bare.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(found, 0)
    return found


def ranked_distances(features: np.ndarray) -> np.ndarray:
    """Ranks (n, n) of the Euclidean distances between rows of features (n, p), around their mean; zero on the diagonal.

    Example:
        >>> ranked_distances(np.array([[0.0], [1.0], [3.0]]))
        array([[ 0., -1.,  1.],
               [-1.,  0.,  0.],
               [ 1.,  0.,  0.]])
    """
    apart = pdist(np.asarray(features, float))
    # what is equal up to rounding is equal
    ranks = rankdata(np.round(apart / (apart.max(initial=0) or 1), 12))
    return squareform(ranks - ranks.mean(), checks=False)


_FORMS = {
    "cka": lambda features: unbiased(gram(features)),
    "cka_plain": lambda features: centred(gram(features)),
    "rsa": ranked_distances,
}


def linear_cka(first: np.ndarray, second: np.ndarray, *, debiased: bool = True) -> float:
    """How alike two sets of features hold the same people, 0 to 1, whatever their axes and scale (linear CKA).

    |X'Y|^2 / (|X'X| |Y'Y|) with Frobenius norms and centred features (Kornblith et al. 2019, ICML). That is above zero for
    unrelated features when there are more features than people; `debiased` takes the unbiased estimate of each term (Song et al.
    2012; Nguyen, Raghu & Kornblith 2021, ICLR), which varies around zero then.

    Args:
        first: (n, p).
        second: (n, q) of the same people.
        debiased: whether the terms are unbiased.

    Raises:
        InputError: for fewer than four people, or unlike numbers of them.

    Example:
        >>> features = stream(0, "example").normal(size=(50, 4))
        >>> round(linear_cka(features, 3 * features[:, ::-1]), 6)
        1.0
    """
    return _one("cka" if debiased else "cka_plain", first, second)


def rsa(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of the distances between people in two sets of features, -1 to 1 (Kriegeskorte et al. 2008).

    Distances are Euclidean, so that turning the axes or scaling all changes nothing.

    Raises:
        InputError: for fewer than four people, or unlike numbers of them.

    Example:
        >>> features = stream(0, "example").normal(size=(50, 4))
        >>> round(rsa(features, 3 * features[:, ::-1]), 6)
        1.0
    """
    return _one("rsa", first, second)


def _one(measure: str, first: np.ndarray, second: np.ndarray) -> float:
    return float(_matrix(_stacked(measure, [first, second]))[0, 1])


def _stacked(measure: str, sets: Sequence[np.ndarray]) -> np.ndarray:
    """Centred matrices (n_sets, n, n) whose inner products are the measure, up to their lengths."""
    sizes = {len(each) for each in sets}
    if len(sizes) > 1 or min(sizes) < LEAST_PEOPLE:
        raise InputError(f"sets of features need the same {LEAST_PEOPLE} people or more, got {sorted(sizes)}")
    return np.stack([_FORMS[measure](each) for each in sets])


def _lengths(forms: np.ndarray) -> np.ndarray:
    squares = np.einsum("sij,sij->s", forms, forms)
    return np.sqrt(np.where(squares > 0, squares, np.nan))


def _matrix(forms: np.ndarray) -> np.ndarray:
    flat = forms.reshape(len(forms), -1) / _lengths(forms)[:, None]
    return np.clip(flat @ flat.T, -1, 1)


@dataclass(frozen=True)
class Similarity:
    """How alike sets of features are by one measure, matrices (n_sets, n_sets).

    `value`, the ends `low` and `high` of its interval, `p` that it is no larger than between people who were shuffled, and
    `p_family`, the share of shuffles in which any pair of sets is as much alike (Westfall & Young 1993).
    """

    measure: str
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_family: np.ndarray


def similarities(
    sets: Sequence[np.ndarray],
    *,
    measure: str = "cka",
    n_permutations: int = N_PERMUTATIONS,
    n_halves: int = N_HALVES,
    seed: int = 0,
) -> Similarity:
    """How alike every two of several sets of features (n, p_i) of the same people are, and how sure that is.

    Args:
        sets: at most 500 people; take a sample of more.
        measure: `cka` (debiased), `cka_plain` or `rsa`.
        n_permutations: how often the people of one set are shuffled; p is (1 + as large or larger) / (1 + draws).
        n_halves: how many halves of the people give the interval.
        seed: of both.

    Raises:
        InputError: for fewer than ten people, more than 500, or unlike numbers of them.

    Example:
        >>> draws = stream(0, "example")
        >>> first, other = draws.normal(size=(40, 5)), draws.normal(size=(40, 5))
        >>> found = similarities([first, first @ np.diag([2, 2, 2, 2, 2]), other])
        >>> bool(found.value[0, 1] > 0.999), bool(found.p[0, 1] == 0.001), bool(abs(found.value[0, 2]) < 0.3)
        (True, True, True)
    """
    n = len(sets[0])
    if n > MOST_PEOPLE:
        raise InputError(f"{n} people are more than {MOST_PEOPLE}; take a sample of them")
    forms = _stacked(measure, sets)
    value = _matrix(forms)
    parts = [_matrix(_stacked(measure, [each[half] for each in sets]))
             for half in halves(n, n_halves, stream(seed, "similarity", "halves"))]  # fmt: skip
    low, high = interval(value, np.stack(parts))
    p, family = _permuted(forms, value, n_permutations, stream(seed, "similarity", "permutations"))
    return Similarity(measure, value, np.clip(low, -1, 1), np.clip(high, -1, 1), p, family)


def _permuted(
    forms: np.ndarray, value: np.ndarray, n_permutations: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The p of every pair, alone and among all pairs."""
    lengths, upper = _lengths(forms), np.triu_indices(len(forms), 1)
    flat = forms.reshape(len(forms), -1) / lengths[:, None]
    alone, among = np.zeros(value.shape), np.zeros(value.shape)
    for _ in range(n_permutations):
        order = generator.permutation(forms.shape[1])
        # one pair, one p: the sets that are moved are those of the later places
        shuffled = flat @ (forms[:, order][:, :, order].reshape(len(forms), -1) / lengths[:, None]).T
        alone += shuffled >= value - 1e-12
        among += np.fmax.reduce(shuffled[upper], initial=-1) >= value - 1e-12
    return tuple(_mirrored((1 + each) / (1 + n_permutations), value) for each in (alone, among))  # type: ignore[return-value]


def _mirrored(p: np.ndarray, value: np.ndarray) -> np.ndarray:
    both = np.triu(p, 1) + np.triu(p, 1).T
    both[np.diag_indices(len(both))] = np.nan
    return np.where(np.isfinite(value), both, np.nan)

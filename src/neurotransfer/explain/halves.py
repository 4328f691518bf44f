"""How sure a number about many people is: the same number of many random halves of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream

N_HALVES = 200
LEVEL = 0.95
LEAST_PEOPLE = 10


def halves(n: int, n_draws: int = N_HALVES, generator: np.random.Generator | None = None) -> Iterator[np.ndarray]:
    """Sorted rows (n // 2,) of random halves of n people, without replacement.

    Raises:
        InputError: for fewer than ten people.

    Example:
        >>> [len(half) for half in halves(11, 2)]
        [5, 5]
    """
    if n < LEAST_PEOPLE:
        raise InputError(f"how sure a number is cannot be told from {n} people; {LEAST_PEOPLE} or more are needed")
    generator = generator or stream(0, "halves")
    for _ in range(n_draws):
        yield np.sort(generator.permutation(n)[: n // 2])


def interval(whole: np.ndarray | float, of_halves: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper end of an interval around numbers of all people, from those of random halves of them.

    The spread of a number over halves that are drawn without replacement is, to first order, its standard error for all: the
    variance of a mean of n/2 out of n is s^2 (2/n - 1/n) = s^2/n (the delete-half jackknife; Shao & Wu 1989, Annals of Statistics
    17:1176). Drawing with replacement would not do here: copies of a person are at no distance from each other and lower the
    number of dimensions. The middle of the halves, which is biased where a number depends on how many people there are, is
    moved onto that of all.

    Args:
        whole: the number of all people, any shape.
        of_halves: (n_draws, *shape) of halves.
        level: the coverage, between 0 and 1.

    Example:
        >>> values = stream(1, "example").normal(size=400)
        >>> low, high = interval(values.mean(), np.array([values[half].mean() for half in halves(400)]))
        >>> bool(0.7 < (high - low) / (2 * 1.96 * values.std() / 20) < 1.3)
        True
    """
    moved = of_halves - np.median(of_halves, axis=0)
    low, high = np.quantile(moved, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return whole + low, whole + high


@dataclass(frozen=True)
class Sure:
    """A number of all people, the ends of its interval, and the number of every half (n_draws,), for comparing it with another."""

    value: float
    low: float
    high: float
    halves: np.ndarray = field(compare=False, repr=False)


def sure(
    statistic: Callable[[np.ndarray], float],
    n: int,
    *,
    positive: bool = False,
    n_draws: int = N_HALVES,
    generator: np.random.Generator | None = None,
) -> Sure:
    """A number of n people with the ends of its interval.

    Args:
        statistic: of rows of people.
        n: how many people there are.
        positive: whether the number is above zero and its logarithm is what varies evenly.
        n_draws: how many halves are drawn.
        generator: where they are drawn from; without one, the same every time.

    Raises:
        InputError: for fewer than ten people.

    Example:
        >>> values = np.arange(100.0)
        >>> found = sure(lambda rows: values[rows].mean(), 100)
        >>> bool(found.low < found.value < found.high)
        True
    """
    whole = statistic(np.arange(n))
    drawn = np.array([statistic(half) for half in halves(n, n_draws, generator)])
    if positive:
        low, high = (float(np.exp(end)) for end in interval(np.log(whole), np.log(drawn)))
    else:
        low, high = (float(end) for end in interval(whole, drawn))
    return Sure(float(whole), low, high, drawn)


def difference(one: Sure, other: Sure) -> Sure:
    """How much more `other` is than `one`, both of the same halves of the same people.

    Example:
        >>> values = np.arange(100.0)
        >>> mean, double = (sure(lambda rows: k * values[rows].mean(), 100) for k in (1, 2))
        >>> found = difference(mean, double)
        >>> bool(found.value == mean.value), bool(found.low > 0)
        (True, True)
    """
    whole, drawn = other.value - one.value, other.halves - one.halves
    low, high = interval(whole, drawn)
    return Sure(whole, float(low), float(high), drawn)

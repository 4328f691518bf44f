"""What the scans that a model learnt from were like, and how far others are from that."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurotransfer.errors import InputError

MOST_COMPONENTS = 32
# how far a scan may be, in deviations of the logarithm of the distances of scans that were held out
FAR = 3.0
# this share of a cohort may lie outside by chance and mishaps; beyond the second it is another kind of scans
LEAST_SHARE, MOST_SHARE = 0.1, 0.5
# a feature whose mean is this many deviations off has shifted
SHIFTED = 1.0
QUANTILES = np.linspace(0, 1, 21)
ALIKE, PARTLY, OTHER, UNKNOWN = "alike", "partly", "another kind", "unknown"
_EDGES = np.linspace(0, 1, 1025)
_SIDES = np.stack([_EDGES[:-1], _EDGES[1:]], 1)


@dataclass(frozen=True)
class Gauge:
    """How far numbers of a scan are from those of the scans that a model knows.

    The numbers are standardised; k principal components and what is left over, alike in all directions, say how they vary
    together (probabilistic principal components: Tipping and Bishop 1999, J R Stat Soc B 61:611), and the Mahalanobis distance
    under that is the measure. How large it is for scans that took no part is kept as mean and deviation of its logarithm.

    Attributes:
        mean: (f,) of every number.
        deviation: (f,) above zero.
        components: (k, f), orthonormal.
        variances: (k,) along the components.
        noise: variance along all other directions.
        usual: mean and deviation of the logarithm of the distances of scans that were held out.
    """

    mean: np.ndarray
    deviation: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    noise: float
    usual: tuple[float, float]

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Values (n, f) in deviations from the mean, (n, f) float64."""
        return (np.asarray(values, np.float64) - self.mean) / self.deviation

    def distances(self, values: np.ndarray) -> np.ndarray:
        """Mahalanobis distances of rows (n, f), divided by the root of f: about 1 for what is known, (n,)."""
        centred = self.standardised(values)
        along = centred @ self.components.T
        rest = (centred**2).sum(1) - (along**2).sum(1)
        squared = (along**2 / self.variances).sum(1) + np.clip(rest, 0, None) / self.noise
        return np.sqrt(squared / centred.shape[1])

    def strangeness(self, values: np.ndarray) -> np.ndarray:
        """How many deviations rows (n, f) are farther than scans that were held out, (n,); 3 or more is outside."""
        mean, deviation = self.usual
        return (np.log(np.maximum(self.distances(values), 1e-12)) - mean) / deviation


def gauge_of(values: np.ndarray, held_out: np.ndarray) -> Gauge:
    """A gauge from numbers of scans (n, f), and of others of the same kind (m, f) that tell how far is usual.

    Example:
        >>> random = np.random.default_rng(0)
        >>> gauge = gauge_of(random.normal(size=(200, 5)), random.normal(size=(100, 5)))
        >>> bool(gauge.strangeness(np.full((1, 5), 9.0))[0] > FAR)
        True
    """
    values = np.asarray(values, np.float64)
    mean, spread = values.mean(0), values.std(0)
    # what hardly varies in these scans would make a trifle an enormous distance
    floor = max(0.1 * float(np.median(spread)), 1e-6 * float(np.abs(mean).max(initial=0)), 1e-9)
    deviation = np.maximum(spread, floor)
    centred = (values - mean) / deviation
    n, f = centred.shape
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    variances = singular**2 / n
    k = min(MOST_COMPONENTS, max(n // 4, 0), max(f - 1, 0))
    noise = max(float((variances[k:].sum()) / max(f - k, 1)), 1e-3)
    made = Gauge(mean, deviation, directions[:k], np.maximum(variances[:k], noise), noise, (0.0, 1.0))
    logs = np.log(np.maximum(made.distances(held_out), 1e-12))
    # from few scans the deviation is uncertain, and nothing is as alike as it seems
    usual = (float(logs.mean()), max(float(logs.std(ddof=1)) * (1 + 1 / (2 * len(logs))), 0.05))
    return Gauge(mean, deviation, made.components, made.variances, noise, usual)


@dataclass(frozen=True)
class Reference:
    """The features and the values of volumes that a model learnt from, as gauges, and of how many scans they tell."""

    features: Gauge
    values: Gauge
    n: int

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All of it as float32 arrays by name; `from_arrays` is the inverse."""
        found = {"n": np.array([self.n], np.float32)}
        for name in ("features", "values"):
            gauge = getattr(self, name)
            for part in Gauge.__dataclass_fields__:
                found[f"{name}.{part}"] = np.atleast_1d(np.asarray(getattr(gauge, part), np.float32))
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Reference":
        """A reference from its arrays.

        Raises:
            InputError: for arrays that lack, are left over, do not fit together or cannot be.
        """
        wanted = {"n", *(f"{name}.{part}" for name in ("features", "values") for part in Gauge.__dataclass_fields__)}
        if set(arrays) != wanted:
            raise InputError(f"the arrays are not {', '.join(sorted(wanted ^ set(arrays)))}")
        if not all(np.isfinite(array).all() for array in arrays.values()) or arrays["n"].shape != (1,):
            raise InputError("numbers are missing or infinite")
        return cls(_gauge(arrays, "features"), _gauge(arrays, "values"), int(arrays["n"][0]))


def _gauge(arrays: Mapping[str, np.ndarray], name: str) -> Gauge:
    parts = {part: np.asarray(arrays[f"{name}.{part}"], np.float64) for part in Gauge.__dataclass_fields__}
    f, k = parts["mean"].shape, parts["variances"].shape
    fits = (
        len(f) == len(k) == 1
        and parts["deviation"].shape == f
        and parts["components"].shape == (*k, *f)
        and parts["noise"].shape == (1,)
        and parts["usual"].shape == (2,)
    )
    if (
        not fits
        or any((parts[part] <= 0).any() for part in ("deviation", "variances", "noise"))
        or parts["usual"][1] <= 0
    ):
        raise InputError(f"those of {name} do not fit together")
    usual = (float(parts["usual"][0]), float(parts["usual"][1]))
    noise = float(parts["noise"][0])
    return Gauge(parts["mean"], parts["deviation"], parts["components"], parts["variances"], noise, usual)


def values_of(volumes: np.ndarray) -> np.ndarray:
    """How the values of volumes (n, x, y, z), 0 to 1, are spread: 21 quantiles of those above zero, and their share, (n, 22).

    Example:
        >>> values_of(np.full((1, 2, 2, 2), 0.5, np.float32))[0, [0, 20, 21]].round(2).tolist()
        [0.5, 0.5, 1.0]
    """
    found = np.zeros((len(volumes), len(QUANTILES) + 1))
    for row, volume in enumerate(volumes):
        # a histogram of 1,024 bins is exact enough, and needs no sorting of millions of voxels
        counts, _ = np.histogram(volume, _EDGES)
        outside = int((volume <= 0).sum())
        counts[0] -= outside
        total = counts.sum()
        if total > 0:
            # from the lower to the upper edge of every bin that holds any
            upper = np.cumsum(counts)
            steps = np.stack([upper - counts, upper], 1)[counts > 0].ravel()
            found[row, :-1] = np.interp(QUANTILES * total, steps, _SIDES[counts > 0].ravel())
        found[row, -1] = total / volume.size
    return found


def reference_of(features: np.ndarray, values: np.ndarray, held_out: np.ndarray) -> Reference:
    """A reference from scans that a model learnt from, and scans that were held out.

    Args:
        features: (n, f) of the encoder.
        values: (n, 22), see `values_of`.
        held_out: (n,) bool: scans that did not take part, at least 2, as those that are not.
    """
    gauges = [gauge_of(each[~held_out], each[held_out]) for each in (features, values)]
    return Reference(gauges[0], gauges[1], len(features))


@dataclass(frozen=True)
class Drift:
    """How far the scans of a cohort are from those that a model knows.

    `features` and `values` are the strangeness of every scan, (n,), in deviations; `outside` (n,) bool; `shifted` says how many
    features have another mean in this cohort; `verdict` is `alike`, `partly`, `another kind` or, without a reference, `unknown`.
    """

    features: np.ndarray
    values: np.ndarray
    outside: np.ndarray
    shifted: int
    n_features: int
    verdict: str

    @property
    def text(self) -> str:
        """The verdict in words."""
        n, outside = len(self.outside), int(self.outside.sum())
        if self.verdict == UNKNOWN:
            return "the model keeps no numbers of the scans that it learnt from: whether these are alike cannot be told"
        counted = f"{outside} of {n} scans lie outside what the model learnt from"
        if self.verdict == ALIKE:
            return f"{counted}: these are scans of the kind that it knows"
        moved = f"; {self.shifted} of {self.n_features} features have another mean" if n > 1 else ""
        if self.verdict == PARTLY:
            return f"{counted}{moved}: look at those, and do not trust what is predicted for them"
        return (
            f"{counted}{moved}: this is another kind of scans. What its own heads predict is not to be trusted here; "
            "check the preparation, or fit a new head on scans of your own"
        )


def drift_of(reference: Reference | None, features: np.ndarray, values: np.ndarray) -> Drift:
    """How far scans are from those that a model knows.

    Args:
        reference: of the model, None where it has none.
        features: (n, f) of its encoder.
        values: (n, 22), see `values_of`.
    """
    counted = Strangeness(reference)
    counted.add(features, values)
    return counted.drift()


class Strangeness:
    """How far scans are from those that a model knows, block after block: memory does not grow with the number of features.

    Example:
        >>> counted = Strangeness(None)
        >>> counted.add(np.zeros((3, 8)), np.zeros((3, 22)))
        >>> counted.drift().verdict, len(counted.drift().outside)
        ('unknown', 3)
    """

    def __init__(self, reference: Reference | None) -> None:
        self.reference = reference
        self.parts: list[tuple[np.ndarray, np.ndarray]] = []
        self.total, self.n, self.n_features = np.zeros(1), 0, 0

    def add(self, features: np.ndarray, values: np.ndarray) -> None:
        """Take note of scans with features (n, f), NaN where there are none, and values (n, 22)."""
        known = ~np.isnan(features).any(1)
        self.n_features = features.shape[1]
        if self.reference is None:
            unknown = np.full(len(features), np.nan)
            self.parts.append((unknown, unknown))
            return
        pair = self.reference.features.strangeness(features), self.reference.values.strangeness(values)
        self.parts.append((pair[0], np.where(known, pair[1], np.nan)))
        if known.any():
            self.total = self.total + self.reference.features.standardised(features[known]).sum(0)
        self.n += int(known.sum())

    def drift(self) -> Drift:
        """The verdict on all of them; scans without features count for nothing, and are not outside."""
        parts = [(np.zeros(0), np.zeros(0)), *self.parts]
        features, values = (np.concatenate(each) for each in zip(*parts, strict=True))
        if self.reference is None:
            return Drift(features, values, np.zeros(len(features), bool), 0, self.n_features, UNKNOWN)
        outside = ~np.isnan(features) & ~((features < FAR) & (values < FAR))
        # a mean of n scans errs by 1 / sqrt(n) deviations by itself
        means = np.abs(self.total / max(self.n, 1))
        shifted = int((means > SHIFTED + 2 / np.sqrt(max(self.n, 1))).sum())
        share = float(outside.sum()) / max(self.n, 1)
        verdict = (
            OTHER if share > MOST_SHARE else PARTLY if share > LEAST_SHARE or (self.n < 10 and outside.any()) else ALIKE
        )
        return Drift(features, values, outside, shifted, self.n_features, verdict)

"""Features of several sites on one footing: ComBat, fitted on the people who are learnt from and on nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurotransfer.errors import InputError
from neurotransfer.targets import MOST_NAMED, as_text

MISSING_SITE = "n/a"
# a residual spread below this share of the largest value is rounding of a feature that stands still
_STILL = 1e-10
_TOLERANCE = 1e-12
_MOST_STEPS = 1000


@dataclass(frozen=True)
class Combat:
    """What a site adds to every feature and how it stretches it, as training people tell.

    Attributes:
        sites: the sites that were fitted, sorted, (S,).
        mean: of every feature over the training rows, where covariates are 0, (d,).
        effect: of a unit of every covariate on every feature, (c, d).
        shift: what a site adds, in the unit of the feature, (S, d).
        scale: the standard deviation of a site over the pooled one, above 0, (S, d).
    """

    sites: tuple[str, ...]
    mean: np.ndarray
    effect: np.ndarray
    shift: np.ndarray
    scale: np.ndarray

    def apply(
        self, features: np.ndarray, sites: Sequence[object] | np.ndarray, covariates: np.ndarray | None = None
    ) -> np.ndarray:
        """Features (n, d) of anybody without what their sites add: e + (f - e - shift) / scale, e = mean + covariates @ effect.

        Nothing is learnt from these people. Those of an unknown site (see `unknown`) are returned as they are.

        Args:
            features: in the order of the fit, (n, d), finite.
            sites: where each was scanned, (n,).
            covariates: the same as in the fit, (n, c); None when it had none.

        Raises:
            InputError: when shapes are not those of the fit, or a number is not finite.
        """
        features, names, covariates = _checked(features, sites, covariates)
        if (features.shape[1], covariates.shape[1]) != (len(self.mean), len(self.effect)):
            raise InputError(
                f"ComBat was fitted on {len(self.mean)} features and {len(self.effect)} covariates, got {features.shape[1]} and "
                f"{covariates.shape[1]}; give those of the fit, in its order"
            )
        place = {site: index for index, site in enumerate(self.sites)}
        rows = np.array([place.get(name, -1) for name in names], dtype=int)
        known = rows >= 0
        deviation = features[known] - self.mean - covariates[known] @ self.effect
        harmonised = features.copy()
        # as a difference, so that a site without an effect gives back the very numbers
        harmonised[known] += (deviation - self.shift[rows[known]]) / self.scale[rows[known]] - deviation
        return harmonised

    def unknown(self, sites: Sequence[object] | np.ndarray) -> tuple[str, ...]:
        """The sites among these, sorted, whose people `apply` returns as they are; `n/a` where a site is missing.

        A site is unknown when the training had nobody of it, or nobody but one (however often drawn): what one person has of
        their own cannot be told from what the site adds.
        """
        return tuple(sorted(set(_names(sites)) - set(self.sites)))


def fit_combat(
    features: np.ndarray,
    sites: Sequence[object] | np.ndarray,
    covariates: np.ndarray | None = None,
    *,
    empirical_bayes: bool = True,
) -> Combat:
    """ComBat by training people: location and scale of every site in every feature, shrunken to those of its other features.

    Model: f = mean + covariates @ effect + pooled * (gamma_site + delta_site * e), with the pooled standard deviation of what sites
    and covariates leave (the root of the sum of squares over n). Each site's gamma has a normal prior and its delta^2 an inverse
    gamma one, whose parameters are the moments of the estimates over features; gamma and delta^2 are where the two conditional
    posterior means agree. Johnson, Li & Rabinovic 2007, Biostatistics 8:118; for scans Fortin et al. 2017, NeuroImage 161:149,
    and 2018, NeuroImage 167:104.

    What is not obvious is defined so:

    - A site of one person is not fitted, and no part of the pooled numbers. With fewer than two sites left, nothing is changed.
    - A feature that does not vary within any site loses the differences between sites alone, without empirical Bayes.
    - A site that does not vary in a feature keeps its scale; with empirical Bayes, it has that of its other features.
    - With one feature that varies, there is no prior and hence no empirical Bayes.
    - A covariate that does not vary within sites cannot be told from them; its differences count as theirs.
    - People who are given several times count as often.

    Args:
        features: of training people, (n, d), finite.
        sites: where each was scanned, (n,); missing ones are not fitted.
        covariates: whose effect is kept, such as age, (n, c), finite. Never the target: it is not known of new people.
        empirical_bayes: whether estimates are shrunken; else every feature stands alone.

    Raises:
        InputError: when shapes differ, a number is not finite, or sites and covariates leave nothing to tell a spread from.

    Example:
        >>> features, sites = np.array([[0.0], [2.0], [10.0], [14.0]]), ["a", "a", "b", "b"]
        >>> fit_combat(features, sites).apply(features, sites).ravel().round(2).tolist()
        [5.38, 7.62, 5.38, 7.62]
    """
    features, names, covariates = _checked(features, sites, covariates)
    fitted = _fitted_sites(features, names)
    n_features, n_covariates = features.shape[1], covariates.shape[1]
    if len(fitted) < 2:
        shape = (len(fitted), n_features)
        centre = features.mean(0) if len(features) else np.zeros(n_features)
        return Combat(fitted, centre, np.zeros((n_covariates, n_features)), np.zeros(shape), np.ones(shape))
    of_site = [np.flatnonzero(names == site) for site in fitted]
    rows = np.concatenate(of_site)
    # far from 0, squares would lose the digits that differ
    offset = features[rows].mean(0)
    centred = features - offset
    effect = _effect(centred, covariates, of_site)
    left = centred - covariates @ effect
    mean = left[rows].mean(0)
    means = np.array([left[chosen].mean(0) for chosen in of_site])
    inner = [left[chosen] - centre for chosen, centre in zip(of_site, means, strict=True)]
    pooled = np.sqrt(sum((part**2).sum(0) for part in inner) / len(rows))
    varies = pooled > _STILL * np.abs(features[rows]).max(0)
    unit = np.where(varies, pooled, 1.0)
    location = (means - mean) / unit
    variance = np.array([part.var(0, ddof=1) for part in inner]) / unit**2
    variance[:, ~varies] = 0.0
    if empirical_bayes and varies.sum() > 1:
        for site, chosen in enumerate(of_site):
            location[site, varies], variance[site, varies] = _shrunken(
                location[site, varies], variance[site, varies], len(chosen)
            )
    scale = np.sqrt(np.where(variance > _STILL**2, variance, 1.0))
    return Combat(fitted, mean + offset, effect, location * unit, scale)


def _effect(features: np.ndarray, covariates: np.ndarray, of_site: list[np.ndarray]) -> np.ndarray:
    """Least squares within sites (Frisch & Waugh 1933), so that what does not vary within them has an effect of 0."""
    n_rows = sum(map(len, of_site))
    inner_x, inner_y = (
        np.concatenate([table[chosen] - table[chosen].mean(0) for chosen in of_site])
        for table in (covariates, features)
    )
    norm = np.sqrt((inner_x**2).sum(0))
    varies = norm > _STILL * np.sqrt(n_rows) * np.abs(covariates).max(0, initial=0.0)
    unit = np.where(varies, norm, 1.0)
    slopes, _, rank, _ = np.linalg.lstsq(np.where(varies, inner_x / unit, 0.0), inner_y, rcond=1e-10)
    if n_rows - len(of_site) - rank < 1:
        raise InputError(
            f"ComBat: {n_rows} people of {len(of_site)} sites and {rank} covariates that vary within them leave no spread to "
            "estimate; give more people, or fewer covariates"
        )
    return slopes / unit[:, None]


def _shrunken(location: np.ndarray, variance: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """One site's location and variance (d,), each drawn to those of its other features; n people."""
    prior_mean, prior_variance = location.mean(), location.var(ddof=1)
    typical, unlike = variance.mean(), variance.var(ddof=1)
    if not typical > _STILL**2:
        return location, variance
    gamma, delta = location, variance
    for _ in range(_MOST_STEPS):
        weight = delta if prior_variance > 0 else 1.0
        shrunken = (prior_variance * n * location + weight * prior_mean) / (prior_variance * n + weight)
        squares = (n - 1) * variance + n * (location - shrunken) ** 2
        # the inverse gamma's posterior mean times `unlike`, so that features that vary alike need no division by 0
        spread = (squares / 2 * unlike + typical * unlike + typical**3) / ((n / 2 + 1) * unlike + typical**2)
        moved = max(np.abs(shrunken - gamma).max(), np.abs(spread / np.maximum(delta, _STILL) - 1).max())
        gamma, delta = shrunken, spread
        if moved <= _TOLERANCE:
            break
    return gamma, delta


def _fitted_sites(features: np.ndarray, names: np.ndarray) -> tuple[str, ...]:
    """The sites with two different people or more."""
    found = (site for site in sorted(set(names)) if site != MISSING_SITE)
    return tuple(site for site in found if (features[names == site] != features[names == site][0]).any())


def _names(sites: Sequence[object] | np.ndarray) -> np.ndarray:
    text = as_text(pd.Series(list(sites), dtype=object))
    return np.array([MISSING_SITE if name is None else name for name in text], dtype=object)


def _checked(
    features: np.ndarray, sites: Sequence[object] | np.ndarray, covariates: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    features, names = np.asarray(features, float), _names(sites)
    if features.ndim != 2 or len(names) != len(features):
        raise InputError(
            f"ComBat takes features (n, d) and one site a row, got features of shape {features.shape} and {len(names)} sites"
        )
    covariates = np.zeros((len(features), 0)) if covariates is None else np.asarray(covariates, float)
    if covariates.ndim != 2 or len(covariates) != len(features):
        raise InputError(f"ComBat takes covariates ({len(features)}, c), got shape {covariates.shape}")
    for what, table in (("features", features), ("covariates", covariates)):
        wrong = np.flatnonzero(~np.isfinite(table).all(1))
        if len(wrong):
            listed = ", ".join(str(row + 1) for row in wrong[:MOST_NAMED])
            raise InputError(
                f"ComBat: {what} of {len(wrong)} rows are not finite (row {listed}); fill or leave out these rows"
            )
    return features, names, covariates

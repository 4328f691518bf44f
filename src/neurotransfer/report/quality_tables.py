"""From measures of scans to what may be said of them: flags by kind, measures by site, tissue against age."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import kruskal, pearsonr

from neurotransfer.report.rows import numbers, texts
from neurotransfer.statistics import holm

LEAST_OF_SITE, LEAST_PEOPLE = 3, 5
NO_SITE = "unknown"
_UNUSUAL = re.compile(r"^(\S+) \S+ is unusual here.*$")
_DETAIL = re.compile(r"\s*\([^()]*\)$")


def flag_kind(flag: str) -> str:
    """A flag without the numbers of the one scan.

    Example:
        >>> flag_kind("cnr 1.2 is unusual here (robust z 4.1)"), flag_kind("the field of view cuts the brain off (inside 0.9)")
        ('cnr is unusual in this cohort', 'the field of view cuts the brain off')
    """
    unusual = _UNUSUAL.match(flag)
    return f"{unusual[1]} is unusual in this cohort" if unusual else _DETAIL.sub("", flag)


def flags_of(scans: pd.DataFrame) -> list[list[str]]:
    """The kinds of flags of every scan; what a preparation warned of is one, whatever signs it is written with."""
    found = []
    for said, warned in zip(texts(scans, "flags", ""), texts(scans, "warnings", ""), strict=True):
        own = [str(warned)] if warned and said.startswith(warned) else []
        others = said[len(own[0]) :].removeprefix("; ") if own else said
        found.append(list(dict.fromkeys([*own, *(flag_kind(flag) for flag in others.split("; ") if flag)])))
    return found


def flag_table(scans: pd.DataFrame) -> pd.DataFrame:
    """How many scans have each kind of flag: `flag`, `scans`, most frequent first."""
    kinds = [kind for said in flags_of(scans) for kind in said]
    counted = pd.Series(kinds, dtype=object).value_counts().rename_axis("flag").reset_index(name="scans")
    return counted.sort_values(["scans", "flag"], ascending=[False, True], kind="stable").reset_index(drop=True)


def one_a_person(scans: pd.DataFrame) -> pd.DataFrame:
    """The first session's first scan of each person: scans of one person are no independent evidence."""
    return scans.sort_values(["participant_id", "session_id", "scan"], kind="stable").drop_duplicates("participant_id")


def site_table(scans: pd.DataFrame, measures: Sequence[str], sites: pd.Series) -> pd.DataFrame:
    """Every measure by site: `measure`, `site`, `scans`, `median`, and the quartiles `low` and `high`."""
    rows = []
    for measure in measures:
        values = pd.Series(numbers(scans, measure), index=scans.index)
        for site, members in values.groupby(sites, sort=True):
            known = members.dropna()
            if len(known):
                low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
                rows.append((measure, str(site), len(known), middle, low, high))
    return pd.DataFrame(rows, columns=["measure", "site", "scans", "median", "low", "high"])


def site_effects(scans: pd.DataFrame, measures: Sequence[str], site: str) -> pd.DataFrame:
    """Which measures differ between sites: the test of Kruskal and Wallis (1952) over people, a row a measure, strongest first.

    Columns: `measure`, `sites`, `people`, `effect` (epsilon squared, (H - k + 1) / (n - k): 0 for none, 1 where the site says
    all; Tomczak and Tomczak 2014), `p`, and `p_holm`, adjusted over the measures. Sites of fewer than three people are left out.
    """
    people = one_a_person(scans)
    people = people[people[site].notna()]
    rows = []
    for measure in measures:
        values = pd.Series(numbers(people, measure), index=people.index).dropna()
        groups = [
            part.to_numpy() for _, part in values.groupby(people.loc[values.index, site]) if len(part) >= LEAST_OF_SITE
        ]
        n, k = sum(map(len, groups)), len(groups)
        if k < 2 or np.ptp(np.concatenate(groups)) == 0:
            continue
        found = kruskal(*groups)
        effect = (float(found.statistic) - k + 1) / (n - k)
        rows.append((measure, k, n, min(max(effect, 0.0), 1.0), float(found.pvalue)))
    table = pd.DataFrame(rows, columns=["measure", "sites", "people", "effect", "p"])
    table["p_holm"] = holm(table["p"].to_numpy(float)) if len(table) else []
    return table.sort_values("effect", ascending=False, kind="stable").reset_index(drop=True)


def tissue_table(scans: pd.DataFrame, tissues: Sequence[str]) -> pd.DataFrame:
    """How each tissue goes with age over people: `tissue`, `people`, `r`, its 95 % interval `low` to `high`, `slope` a year.

    Empty where fewer than five people have an age, or where all are equally old.
    """
    people = one_a_person(scans)
    rows = []
    for tissue in tissues:
        age, volume = numbers(people, "age"), numbers(people, tissue)
        known = np.isfinite(age) & np.isfinite(volume)
        age, volume = age[known], volume[known]
        if len(age) >= LEAST_PEOPLE and np.ptp(age) > 0 and np.ptp(volume) > 0:
            found = pearsonr(age, volume)
            ends = found.confidence_interval()
            slope, intercept = np.polyfit(age, volume, 1)
            rows.append((tissue, len(age), float(found.statistic), float(ends.low), float(ends.high), slope, intercept))
    return pd.DataFrame(rows, columns=["tissue", "people", "r", "low", "high", "slope", "intercept"])

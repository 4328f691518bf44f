"""Files as prepare, predict and pretrain leave them, with numbers that are made up, to be changed by tests."""

import json

import numpy as np
import pandas as pd

from neurotransfer.artifacts import write_json, write_table
from neurotransfer.cohort.preparation import COMPLETE, DESCRIPTION, KEY
from neurotransfer.cohort.recipes import RECIPES

SITES = ("north", "south", "west")


def people_of(n, seed=0):
    """A table of n scans; every fifth person has two."""
    generator = np.random.default_rng(seed)
    ids = [f"sub-{number - number // 5:03d}" for number in range(n)]
    sessions = [f"ses-{ids[: row + 1].count(name)}" for row, name in enumerate(ids)]
    return pd.DataFrame(
        {
            "participant_id": ids,
            "session_id": sessions,
            "age": generator.uniform(20, 80, n).round(1),
            "sex": generator.choice(["F", "M"], n),
            "site": generator.choice(SITES, n),
        }
    )


def write_prepared(folder, n=40, n_failed=2, columns=("age", "sex", "site"), limits=True, seed=0):
    """A prepared folder: contrast depends on the site, grey matter on age; the first three scans have a flag."""
    generator, people = np.random.default_rng(seed), people_of(n, seed)
    shift = people["site"].map({"north": 0.0, "south": 0.5, "west": 1.5}) if n else 0.0
    scans = [f"{row.participant_id}_{row.session_id}" for row in people.itertuples()]
    flags = [
        "cnr 1.2 is unusual here (robust z 4.1)",
        "look at it; the field of view cuts the brain off (inside 0.9)",
        "look at it",
    ]
    quality = people[["participant_id", "session_id"]].assign(
        scan=scans,
        orientation="RAS",
        voxel_x_mm=1.0,
        brain_litres=generator.normal(1.3, 0.1, n).round(3),
        overlap=generator.uniform(0.92, 0.98, n).round(4),
        cnr=(3 + shift + generator.normal(0, 0.1, n)).round(3),
        cjv=generator.normal(0.3, 0.02, n).round(4),
        grey_share=(0.6 - 0.002 * people["age"] + generator.normal(0, 0.01, n)).round(4),
        warnings=(["", "look at it", "look at it"] + [""] * n)[:n],
        remarks="",
        approximation="",
        image=[f"{scan}_T1w.nii.gz" for scan in scans],
        figure=[f"{scan}.jpg" for scan in scans],
        flags=(flags + [""] * n)[:n],
        badness=np.linspace(3, 0, n).round(3) if n else [],
    )
    failed = [{"participant_id": f"bad-{i}", "session_id": "", "scan": f"bad-{i}", "source": "x.nii", "reason": "no brain in it"}
              for i in range(n_failed)]  # fmt: skip
    cohort = people[["participant_id", "session_id"]].assign(image=quality["image"])
    cohort = pd.concat([cohort, people[list(columns)]], axis=1)
    facts = RECIPES["template"].facts()
    folder.mkdir(parents=True)
    write_table(folder / "cohort.tsv", cohort)
    write_table(folder / "quality.tsv", quality)
    write_table(
        folder / "failed.tsv",
        pd.DataFrame(failed, columns=["participant_id", "session_id", "scan", "source", "reason"]),
    )
    made_by = [{"Name": "neurotransfer", "Version": "0.1.0"}]
    write_json(folder / DESCRIPTION, {"Name": "Model-ready volumes", "GeneratedBy": made_by, KEY: facts})
    more = {"Limits": {"overlap": {"Least": 0.9, "Most": 1.0}, "cnr": {"Least": 1.5}}} if limits else {}
    write_json(folder / COMPLETE, facts | {"Prepared": n, "Failed": n_failed, "Approximate": 0} | more)
    return quality


def predictions_of(n, seed=0):
    """A table of predictions of every kind of target and its sidecar, as `predict` writes them."""
    generator, people = np.random.default_rng(seed), people_of(n, seed)
    age = people["age"] + generator.normal(0, 6, n) - 0.3 * (people["age"] - 50)
    male = np.clip(
        0.5 + 0.3 * (people["sex"] == "M") - 0.3 * (people["sex"] == "F") + generator.normal(0, 0.2, n), 0.01, 0.99
    )
    groups, levels = generator.choice(["a", "b", "c"], n), generator.integers(0, 3, n)
    shares = generator.dirichlet(np.ones(3), n) + 1.5 * (groups[:, None] == np.array(["a", "b", "c"]))
    shares /= shares.sum(1, keepdims=True)
    steps = generator.dirichlet(np.ones(3), n)
    gap = age - people["age"]
    slope, intercept = np.polyfit(people["age"], gap, 1) if n > 1 else (0.0, 0.0)
    table = people[["participant_id", "session_id"]].assign(
        image=[f"{name}.nii.gz" for name in people["participant_id"]],
        age=age,
        age_sd_views=generator.uniform(1, 3, n),
        sex=np.where(male > 0.5, "M", "F"),
        sex_probability_F=1 - male,
        sex_probability_M=male,
        group=np.array(["a", "b", "c"])[shares.argmax(1)],
        **{f"group_probability_{label}": shares[:, place] for place, label in enumerate("abc")},
        grade_level=steps @ [0, 1, 2],
        grade=np.array(["low", "mid", "high"])[steps.argmax(1)],
        **{f"grade_probability_{label}": steps[:, place] for place, label in enumerate(["low", "mid", "high"])},
        age_observed=people["age"],
        sex_observed=people["sex"],
        group_observed=groups,
        grade_observed=np.array(["low", "mid", "high"])[levels],
        site=people["site"],
        age_gap=gap,
        age_gap_corrected=gap - intercept - slope * people["age"],
        drift_features=generator.normal(0, 1, n),
        drift_values=generator.normal(0, 1, n),
        contract="kept",
    )
    said = {name: {"Description": f"{name}."} for name in table}
    said["age"] = {"Description": "Predicted age.", "Units": "years"}
    for name, levels_of in {"sex": ["F", "M"], "group": ["a", "b", "c"], "grade": ["low", "mid", "high"]}.items():
        said[name] = {"Description": f"Most probable {name}.", "Levels": levels_of}
    said["age_gap_corrected"] |= {"Intercept": float(intercept), "Slope": float(slope), "People": n}
    return table, said | {
        "GeneratedBy": {
            "Models": [{"Name": "made-up", "Licence": "MIT", "Citation": "Nobody 2026", "Seen": 0}],
            "Options": ["--views", "3"],
            "Cohort": {"name": "people", "n_images": n},
            "Engine": "CPU",
            "Drift": {"Verdict": "alike", "Text": "0 scans lie outside"},
            "versions": {"neurotransfer": "0.1.0"},
        }
    }


def write_predictions(path, table, said):
    """Write a table and its sidecar."""
    write_table(path, table)
    write_json(path.with_suffix(".json"), json.loads(json.dumps(said, default=str)))
    return path


def table_of(page, name):
    """The table of a page by its name."""
    return next(item for item in _flat(page) if getattr(item, "name", "") == name)


def figure_names(page):
    """The names of all figures and tables of a page, in order."""
    return [item.name for item in _flat(page) if hasattr(item, "name")]


def words_of(page):
    """All text of a page as one string."""
    parts = [page.title, page.lead, *page.found, *page.cautions, page.banner]
    for item in _flat(page):
        parts += [item.text] if hasattr(item, "text") and isinstance(item.text, str) else []
        parts += [f"{name}: {value}" for name, value in getattr(item, "pairs", [])]
        parts += [cell for row in getattr(item, "rows", []) for cell in row]
    return "\n".join(parts)


def _flat(page):
    for section in page.sections:
        for item in section.items:
            yield from getattr(item, "items", [item])

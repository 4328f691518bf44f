"""Small heads and the tables around them, as the stages write them."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

SHAPE = (12, 14, 10)
AFFINE = np.array([[-2.0, 0, 0, 12], [0, 2, 0, -14], [0, 0, 2, -10], [0, 0, 0, 1]])


def voxels(seed=0, shape=SHAPE):
    """A ball of its own brightness, brighter on the person's left."""
    x, y, z = np.indices(shape)
    middle = (np.array(shape) - 1) / 2
    inside = sum(((each - mid) / side) ** 2 for each, mid, side in zip((x, y, z), middle, shape, strict=True)) < 0.2
    return np.where(inside, 100 + 20 * seed % 90 + x, 0).astype(np.int16)


def write_scan(path, seed=0, shape=SHAPE, dtype=np.int16):
    path.parent.mkdir(parents=True, exist_ok=True)
    found = voxels(seed, shape).astype(dtype)
    kind = nibabel.MGHImage if path.name.endswith((".mgz", ".mgh")) else nibabel.Nifti1Image
    nibabel.save(kind(found, AFFINE), path)
    return path


def write_cohort(folder: Path, n=6, sessions=1, masks=True):
    """A table of scans in folders of BIDS, with masks beside them."""
    rows = []
    for index in range(n):
        for session in range(1, sessions + 1):
            participant, session_id = f"sub-{index:02d}", f"ses-{session}"
            stem = f"{participant}/{session_id}/anat/{participant}_{session_id}"
            write_scan(folder / f"{stem}_T1w.nii.gz", index + 10 * session)
            if masks:
                write_scan(folder / f"{stem}_desc-brain_mask.nii.gz", 0, dtype=np.uint8)
            rows.append(
                {
                    "participant_id": participant,
                    "session_id": session_id,
                    "image": f"{stem}_T1w.nii.gz",
                    "site": "AB"[index % 2],
                    "age": 20 + 5 * index,
                    "sex": "FM"[index % 2],
                    "iq": 100 + index,
                }
            )
    pd.DataFrame(rows).to_csv(folder / "cohort.tsv", sep="\t", index=False)
    return folder / "cohort.tsv"


def write_prepared(folder: Path, n=6):
    """A folder as `prepare` leaves it: the last two scans are flagged, another one failed."""
    rows, cohort = [], []
    for index in range(n):
        participant = f"sub-{index:02d}"
        start = f"{participant}/anat/{participant}_space-MNI152NLin2009cSym_res-2"
        write_scan(folder / f"{start}_desc-template_T1w.nii.gz", index, dtype=np.float32)
        write_scan(folder / f"{start}_desc-brain_mask.nii.gz", 0, dtype=np.uint8)
        image = f"{start}_desc-template_T1w.nii.gz"
        flags = {n - 1: "the field of view cuts the brain off (inside 0.91); cnr 1.2 is unusual here (robust z 4.1)",
                 n - 2: "cnr 1.31 is unusual here (robust z 3.9)"}.get(index, "n/a")  # fmt: skip
        rows.append({"participant_id": participant, "session_id": "n/a", "scan": participant, "cnr": 3 - index / 4,
                     "overlap": 0.95, "warnings": "n/a", "image": image, "figure": "n/a", "flags": flags,
                     "badness": 2.0 if "field" in flags else float(flags != "n/a") + index / 100})  # fmt: skip
        cohort.append({"participant_id": participant, "session_id": "n/a", "image": image, "site": "AB"[index % 2],
                       "age": 30 + index, "sex": "FM"[index % 2]})  # fmt: skip
    rows.sort(key=lambda row: -row["badness"])
    lost = [
        {
            "participant_id": "sub-99",
            "session_id": "n/a",
            "scan": "sub-99",
            "source": "a.nii",
            "reason": "it is constant",
        }
    ]
    for name, table in (("quality", rows), ("cohort", cohort), ("failed", lost)):
        pd.DataFrame(table).to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    (folder / "prepared.json").write_text("{}")
    return folder


TASKS = {
    "age": {"target": "age", "kind": "continuous", "classes": [], "unit": "years", "label": "Age"},
    "sex": {"target": "sex", "kind": "binary", "classes": ["F", "M"], "unit": "", "label": "Sex"},
}


def predictions(n=6, sizes=(10, 20), strategies=("baseline", "finetuned"), replicates=3):
    """Made-up test predictions; some scans are tested by no replicate of some cells."""
    draws, rows = np.random.default_rng(1), []
    for task in TASKS:
        for size in sizes:
            for replicate in range(replicates):
                for strategy in strategies:
                    for row in draws.choice(n, n // 2, replace=False):
                        observed = 20.0 + 5 * row if task == "age" else float(row % 2)
                        predicted = observed + draws.normal() if task == "age" else draws.uniform()
                        pair = None if task == "age" else [1 - predicted, predicted]
                        rows.append(
                            (task, size, replicate, strategy, f"sub-{row:02d}", "ses-1", row, observed, predicted, pair)
                        )
    names = [
        "task",
        "n",
        "replicate",
        "strategy",
        "participant_id",
        "session_id",
        "row",
        "observed",
        "predicted",
        "probabilities",
    ]
    return pd.DataFrame(rows, columns=names)


def write_benchmark(folder: Path, cohort: Path, n=6):
    """A run on a table of scans, as `benchmark` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(cohort, sep="\t", dtype=str)
    table["image"] = [str(cohort.parent / image) for image in table["image"]]
    table.assign(mask="").to_parquet(folder / "cohort.parquet", index=False)
    study = {"name": "tiny", "tasks": TASKS, "study": {"cohort": {"path": cohort.name}}}
    (folder / "study.json").write_text(json.dumps(study))
    predictions(n).to_parquet(folder / "predictions.parquet", index=False)
    return folder


def write_predicted(path: Path, cohort: Path):
    """A table as `predict` leaves it, with its sidecar."""
    table = pd.read_csv(cohort, sep="\t", dtype=str)
    age = table["age"].astype(float) + [3.0 * (-1) ** row * row for row in range(len(table))]
    probability = np.linspace(0.1, 0.9, len(table))
    pd.DataFrame(
        {
            "participant_id": table["participant_id"],
            "session_id": table["session_id"],
            "image": [str(cohort.parent / image) for image in table["image"]],
            "age": age,
            "sex": np.where(probability > 0.5, "M", "F"),
            "sex_probability_F": 1 - probability,
            "sex_probability_M": probability,
            "age_gap": age - table["age"].astype(float),
            "contract": ["refused: '/secret/place/a.nii' is constant", *["kept"] * (len(table) - 1)],
        }
    ).to_csv(path, sep="\t", index=False, na_rep="n/a")
    said = {
        "participant_id": {"Description": "Participant."},
        "age": {"Description": "Predicted age.", "Units": "years"},
        "sex": {"Description": "Most probable sex.", "Levels": ["F", "M"]},
        "sex_probability_F": {"Description": "Probability that sex is F, 0 to 1."},
        "GeneratedBy": {},
    }
    path.with_suffix(".json").write_text(json.dumps(said))
    return path


def write_maps(folder: Path, cohort: Path, methods=("gradient", "relevance")):
    """Maps as `explain maps` leaves them, without the last scan."""
    table = pd.read_csv(cohort, sep="\t", dtype=str)
    rows = []
    for place, (participant, session) in enumerate(zip(table["participant_id"], table["session_id"], strict=True)):
        for method in methods if place < len(table) - 1 else ():
            path = folder / "maps" / participant / f"{participant}_{session}_target-age_map-{method}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            found = (voxels(place) - 120.0) * (voxels(place) > 0) * (1 if method == "gradient" else -1)
            nibabel.save(nibabel.Nifti1Image(found.astype(np.float32), AFFINE), path)
            rows.append({"participant_id": participant, "session_id": session, "method": method,
                         "image": str(cohort.parent / table["image"][place])})  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "maps.parquet", index=False)
    return folder

"""What a user has, one scan or many, as a cohort."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.cohort import Cohort, read_cohort
from neurotransfer.cohort.files import TABLES, has_table, is_image_name, scan_stem, scans_in
from neurotransfer.cohort.volumes import IMAGE_SUFFIXES
from neurotransfer.errors import CohortError, InputError

# what files without a table have no use for
OF_TABLES = ("space", "desc", "mask", "columns", "recode", "targets", "images")


def read_scans(path: Path | str, **options: object) -> Cohort:
    """What `predict` takes: one scan, a folder of scans, a cohort table or a BIDS dataset, as a cohort.

    Args:
        path: a file ending in .nii, .nii.gz, .mgz or .mgh, a folder of such files (masks and segmentations, by their
            names, and hidden files are passed over), or what `read_cohort` reads.
        options: of `read_cohort`; those of a table or of BIDS say nothing about scans without one.

    Raises:
        InputError: when there is nothing of that kind.
        CohortError: with all scans that cannot be used.
    """
    path = Path(path)
    if is_folder(path) and not has_table(path):
        scans = scans_in(path)
        if scans:
            return _of_files(scans, path, options)
        if not any(is_folder(below) for below in path.glob("sub-*")):
            raise InputError(
                f"{str(path)!r} holds no scan ({', '.join(IMAGE_SUFFIXES)}), no table ({', '.join(TABLES)}) and no sub-* "
                "folder of BIDS; give a place that does"
            )
    if is_file(path) and is_image_name(path):
        return _of_files([path], path, options)
    if not is_folder(path) and not is_file(path):
        raise InputError(
            f"there is no {str(path)!r}; give a scan ({', '.join(IMAGE_SUFFIXES)}), a folder of scans, a cohort table or a "
            "BIDS dataset"
        )
    return read_cohort(path, **options)  # type: ignore[arg-type]


def _of_files(scans: list[Path], source: Path, options: dict[str, object]) -> Cohort:
    kept = {"name": source.resolve().name} | {key: value for key, value in options.items() if key not in OF_TABLES}
    with TemporaryDirectory() as folder:
        table = Path(folder) / "scans.tsv"
        rows = [{"participant_id": scan_stem(file), "image": str(file.resolve())} for file in scans]
        pd.DataFrame(rows).to_csv(table, sep="\t", index=False)
        try:
            return read_cohort(table, **kept)  # type: ignore[arg-type]
        except CohortError as error:
            raise CohortError(
                source, error.problems, "mend or remove these scans and run the same command again"
            ) from None

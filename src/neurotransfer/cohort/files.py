"""Files that may be scans, by their names."""

from pathlib import Path

from neurotransfer.artifacts import is_file, is_folder
from neurotransfer.cohort.images import IMAGE_SUFFIXES

# the last part of the name of what lies beside a scan and is none
NO_SCANS = ("mask", "dseg", "probseg")
TABLES = ("participants.tsv", "cohort.tsv", "cohort.csv", "cohort.parquet")


def is_image_name(path: Path) -> bool:
    """Whether a file has the ending of an image that can be read.

    Example:
        >>> is_image_name(Path("a.nii.gz")), is_image_name(Path("a.txt"))
        (True, False)
    """
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def scan_stem(path: Path) -> str:
    """The name of a scan without its ending.

    Example:
        >>> scan_stem(Path("folder/a.b.nii.gz"))
        'a.b'
    """
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def scans_in(folder: Path) -> list[Path]:
    """The images of a folder, sorted; hidden files, masks and segmentations, by their names, are passed over."""
    return sorted(
        path
        for path in folder.iterdir()
        if is_image_name(path)
        and not path.name.startswith(".")
        and scan_stem(path).split("_")[-1].lower() not in NO_SCANS
        and not is_folder(path)
    )


def has_table(folder: Path) -> bool:
    """Whether a folder has a table of scans or of people."""
    return any(is_file(folder / name) for name in TABLES)

"""What FreeSurfer and FastSurfer measured in a brain, under names that depend on neither the tool nor its version.

A structure's name is lower case, with `_` for every other sign, and ends with its unit: `Left-Hippocampus` is
`left_hippocampus_mm3`. One thing has one name: `Left-Thalamus-Proper` of FreeSurfer 5 and 6 is `left_thalamus_mm3`, and
intracranial volume is `etiv_mm3` whatever it was called. Different things have different names: the cortex of the DKT
atlas counted in voxels (`dkt_ctx_lh_insula_mm3`, of aseg+DKT.stats) is not the volume between its two surfaces
(`lh_dkt_insula_volume_mm3`, of lh.aparc.DKTatlas.stats), and the atlases `aparc`, `dkt` and `a2009s` draw other borders
under one name. What concerns the whole brain or a hemisphere begins with `measure_`, and has no unit where it has none.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from neurotransfer.artifacts import is_file
from neurotransfer.errors import InputError, unknown
from neurotransfer.prepare.subjects import Subject, read_subject

# the prefix of each file's names; of files that give the same name the first here counts: what was corrected by surfaces
# before what was only segmented, FreeSurfer's own atlas before what FastSurfer mapped from its segmentation
_PREFIXES = {
    "aseg.stats": "",
    "aseg+DKT.stats": "",
    "aseg+DKT.VINN.stats": "",
    "aseg.VINN.stats": "",
    "aparc.stats": "aparc",
    "aparc.DKTatlas.stats": "dkt",
    "aparc.DKTatlas.mapped.stats": "dkt",
    "aparc.DKTatlas40.stats": "dkt",
    "aparc.a2009s.stats": "a2009s",
    "wmparc.stats": "wmparc",
    "wmparc.DKTatlas.mapped.stats": "wmparc_dkt",
    "cerebellum.CerebNet.stats": "cerebellum",
    "hypothalamus.HypVINN.stats": "hypothalamus",
}
_NAMES = [side + name for name in _PREFIXES for side in (("lh.", "rh.") if name.startswith("aparc") else ("",))]
_VOXELS = {"Volume_mm3": "mm3"}
_SURFACES = {"ThickAvg": "thickness_mm", "SurfArea": "area_mm2", "GrayVol": "volume_mm3"}
_UNITS = {"mm^3": "_mm3", "mm^2": "_mm2", "mm": "_mm", "unitless": ""}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NO_STRUCTURES = {"unknown", "unknown_label", "background", "medial_wall"}
# what versions call by several names
_SAME = {
    "thalamus_proper": "thalamus", "third_ventricle": "3rd_ventricle", "brain_mask": "mask",
    "cortical_white": "cerebral_white", "super_tentorial": "supra_tentorial",
}  # fmt: skip
_ETIV = {"eTIV", "EstimatedTotalIntraCranialVol", "ICV", "IntraCranialVol"}
_OF_HEMISPHERES = {"NumVert", "SurfArea", "WhiteSurfArea", "PialSurfArea", "MeanThickness"}


class _Layout(NamedTuple):
    hemisphere: str
    prefix: str
    columns: list[str]
    quantities: Mapping[str, str]


class _Row(NamedTuple):
    subject: Subject
    values: dict[str, float]
    sources: dict[str, str]
    problems: list[InputError]


def read_stats(path: Path) -> dict[str, float]:
    r"""The values of one stats file: volumes in mm3, areas in mm2, thicknesses in mm; all finite and not negative.

    Raises:
        InputError: when there is no such file, its name is none that a tool gives, or it is damaged or cut off.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "aseg.stats"
        >>> _ = path.write_text("# ColHeaders Index SegId Volume_mm3 StructName\n1 17 4012.5 Left-Hippocampus\n")
        >>> read_stats(path)
        {'left_hippocampus_mm3': 4012.5}
    """
    lines = _lines(path)
    layout = _layout(path, lines)
    values: dict[str, float] = {}
    for number, line in enumerate(lines, 1):
        try:
            found = _of_header(line, layout) if line.startswith("#") else _of_row(line, layout)
            if twice := found.keys() & values.keys():
                raise ValueError(f"{min(twice)} stands there twice")
        except ValueError as error:
            raise _damaged(path, number, str(error)) from None
        values |= found
    _require_all_rows(path, lines)
    return values


def regional_values(subject: Path) -> dict[str, float]:
    r"""The values of all stats files of one subject.

    Where several files give a value of the same name, the first of this order counts: aseg.stats, aseg+DKT.stats,
    aseg+DKT.VINN.stats, aseg.VINN.stats, aparc, aparc.DKTatlas, aparc.DKTatlas.mapped, aparc.DKTatlas40, aparc.a2009s,
    wmparc, cerebellum, hypothalamus; the left hemisphere before the right. Files of other names are not read.

    Raises:
        InputError: when the folder is no subject, has none of these files, or one of them is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "stats" / "lh.aparc.stats"
        >>> path.parent.mkdir()
        >>> _ = path.write_text("# ColHeaders StructName SurfArea GrayVol ThickAvg\ninsula 1819 5823 3.017\n")
        >>> regional_values(path.parents[1])
        {'lh_aparc_insula_thickness_mm': 3.017, 'lh_aparc_insula_area_mm2': 1819.0, 'lh_aparc_insula_volume_mm3': 5823.0}
    """
    row = _row(subject)
    if row.problems:
        raise row.problems[0]
    if not row.values:
        wanted = "wanted are stats/aseg.stats of recon-all or stats/aseg+DKT.stats of FastSurfer: let the tool finish"
        raise InputError(f"{str(subject)!r} has none of the stats files that are read; {wanted}")
    return row.values


def regional_table(subjects: Sequence[Path]) -> tuple[pd.DataFrame, list[str]]:
    r"""One row a subject: `participant_id`, `session_id` ("" for none), its values; and remarks on what is not alike.

    Columns are in the order of their first appearance; what a subject lacks is NaN. A damaged file is left out with a
    remark and stops nothing.

    Raises:
        InputError: when no subject is given or a folder is none.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "sub-01" / "stats" / "aseg.stats"
        >>> path.parent.mkdir(parents=True)
        >>> _ = path.write_text("# ColHeaders Index SegId Volume_mm3 StructName\n1 17 4012.5 Left-Hippocampus\n")
        >>> table, remarks = regional_table([path.parents[1]])
        >>> table.to_dict("records"), len(remarks)
        ([{'participant_id': 'sub-01', 'session_id': '', 'left_hippocampus_mm3': 4012.5}], 1)
    """
    if not subjects:
        raise InputError("no subject is given; give one folder of FreeSurfer or FastSurfer or more")
    rows = [_row(folder) for folder in subjects]
    table = pd.DataFrame([{**row.subject.identity, **row.values} for row in rows])
    return table, list(_remarks(rows, list(table.columns[2:])))


def _damaged(path: Path, number: int, what: str) -> InputError:
    return InputError(f"{str(path)!r}, line {number}: {what}; copy the file again, or let the tool write it anew")


def _lines(path: Path) -> list[str]:
    if not is_file(path):
        raise InputError(f"there is no file {str(path)!r}; give a file of a subject's folder stats")
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r} ({error.strerror}); ask for the right to read it") from None
    except UnicodeDecodeError as error:
        raise _damaged(path, data.count(b"\n", 0, error.start) + 1, "there are signs that are not UTF-8") from None
    strange = re.search(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]", text)
    if strange:
        raise _damaged(path, text.count("\n", 0, strange.start()) + 1, f"the sign {strange[0]!r} is not text")
    if not text.endswith("\n"):
        found = "the file is cut off in the middle of a line" if text else "the file is empty"
        raise _damaged(path, text.count("\n") + 1, found)
    return text.split("\n")[:-1]


def _layout(path: Path, lines: list[str]) -> _Layout:
    if path.name not in _NAMES:
        raise InputError(unknown("stats file", path.name, _NAMES))
    hemisphere = path.name[:2] if path.name.startswith(("lh.", "rh.")) else ""
    heads = [number for number, line in enumerate(lines, 1) if re.match(r"#\s*ColHeaders\s", line)]
    if len(heads) != 1:
        raise _damaged(path, [*heads, len(lines)][-1], "one line '# ColHeaders' must say what the columns are")
    columns = lines[heads[0] - 1].lstrip("#").split()[1:]
    quantities = _SURFACES if hemisphere else _VOXELS
    if not {"StructName", *quantities} <= set(columns) or len(set(columns)) < len(columns):
        raise _damaged(path, heads[0], f"wanted are the columns StructName, {', '.join(quantities)}, each once")
    for number, line in enumerate(lines, 1):
        if (match := re.match(r"#\s*hemi\s+(\S+)", line)) and match[1] != hemisphere:
            raise _damaged(path, number, f"the file is of hemisphere {match[1]!r} and named {path.name!r}")
    return _Layout(hemisphere, _PREFIXES[path.name.removeprefix(f"{hemisphere}.")], columns, quantities)


def _require_all_rows(path: Path, lines: list[str]) -> None:
    rows = sum(bool(line.strip()) and not line.startswith("#") for line in lines)
    said = [int(match[1]) for line in lines if (match := re.fullmatch(r"#\s*NRows\s+(\d{1,9})\s*", line, re.ASCII))]
    if not rows or (said and said[0] != rows):
        raise _damaged(path, len(lines), f"the file ends after {rows} rows" + (f" of {said[0]}" if said else ""))


def _tidy(name: str) -> str:
    tidy = re.sub(r"[^a-z0-9]+", "_", name.lower().replace("&", "_and_")).strip("_")
    if not tidy:
        raise ValueError(f"{name!r} is no name")
    for old, new in _SAME.items():
        tidy = tidy.replace(old, new)
    return tidy


def _number(text: str, name: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name} is {text!r}; allowed are numbers from 0")
    return value


def _of_row(line: str, layout: _Layout) -> dict[str, float]:
    cells = line.split()
    if not cells:
        return {}
    if len(cells) != len(layout.columns):
        raise ValueError(f"{len(cells)} columns instead of {len(layout.columns)}")
    row = dict(zip(layout.columns, cells, strict=True))
    name = _tidy(row["StructName"])
    if name in _NO_STRUCTURES:
        return {}
    prefix = layout.prefix or ("dkt" if name.startswith("ctx_") else "")
    stem = "_".join(part for part in (layout.hemisphere, prefix, name) if part)
    return {f"{stem}_{end}": _number(row[column], name) for column, end in layout.quantities.items()}


def _of_header(line: str, layout: _Layout) -> dict[str, float]:
    match = re.match(r"#\s*Measure\s(.*)", line)
    if not match:
        return {}
    parts = [part.strip() for part in match[1].split(",")]
    # a description may have commas of its own
    if len(parts) < 5 or parts[-1] not in _UNITS:
        raise ValueError(f"a measure is name, short name, description, value and unit ({', '.join(_UNITS)})")
    name = "etiv" if _ETIV & set(parts[:2]) else _measure(parts[1], layout.hemisphere)
    return {name + _UNITS[parts[-1]]: _number(parts[-2], parts[1])}


def _measure(short: str, hemisphere: str) -> str:
    bare = re.sub(r"Vol(?![a-z])", "", short).replace("eTIV", "etiv")
    name = _tidy(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", bare))
    return f"measure_{hemisphere}_{name}" if hemisphere and short in _OF_HEMISPHERES else f"measure_{name}"


def _row(folder: Path) -> _Row:
    row = _Row(read_subject(folder), {}, {}, [])
    for path in filter(is_file, (folder / "stats" / name for name in _NAMES)):
        try:
            new = {name: value for name, value in read_stats(path).items() if name not in row.values}
        except InputError as error:
            row.problems.append(error)
        else:
            row.values.update(new)
            row.sources.update(dict.fromkeys(new, path.name))
    return row


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _remarks(rows: list[_Row], names: list[str]) -> Iterator[str]:
    """What is damaged, what is missing, who stands there twice, and what was not made in one way."""
    for row in rows:
        yield from (f"{row.subject.label}: left out: {problem}" for problem in row.problems)
    total = f"of {len(rows)} subjects have no"
    if bare := [row.subject.label for row in rows if not row.values]:
        yield f"{len(bare)} {total} values of regions: {_some(bare)}"
    if sizeless := [row.subject.label for row in rows if row.values and "etiv_mm3" not in row.values]:
        yield f"{len(sizeless)} {total} etiv_mm3 to set volumes against the size of the head: {_some(sizeless)}"
    yield from _missing(rows, names)
    if twice := [label for label, count in Counter(row.subject.label for row in rows).items() if count > 1]:
        yield f"{len(twice)} participants and sessions stand there more than once: {_some(twice)}; keep one folder of each"
    yield from _mixtures(rows, names)


def _missing(rows: list[_Row], names: list[str]) -> Iterator[str]:
    lacking: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        lacking.setdefault(tuple(name for name in names if name not in row.values), []).append(row.subject.label)
    for missing, labels in lacking.items():
        if 0 < len(missing) < len(names):
            yield f"{len(missing)} of {len(names)} columns are missing in {_some(labels)}: {_some(missing)}"


def _mixtures(rows: list[_Row], names: list[str]) -> Iterator[str]:
    tools = Counter(f"{row.subject.tool} {row.subject.version or '(version not known)'}" for row in rows)
    if len(tools) > 1:
        made = ", ".join(f"{tool} ({count})" for tool, count in tools.items())
        yield f"the subjects were not made by one version of one tool: {made}; values differ between them: do not mix groups"
    origins: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        files = tuple(sorted({row.sources[name] for row in rows if name in row.sources}))
        origins.setdefault(files, []).append(name)
    for files, those in origins.items():
        if len(files) > 1:
            yield f"{len(those)} columns are of {' in some subjects, of '.join(files)} in others: {_some(those)}"

"""One scan to be prepared: whose it is, where it lies, what is known of it, and what its outputs are called."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurotransfer.errors import InputError, unknown
from neurotransfer.targets import MISSING

IMAGE, SUBJECT, DICOM = "image", "subject", "dicom"
# what a user may say of all scans of an input
DECLARABLE = ("stripped", "unbiased", "registered", "conformed", "normalised")
# a file system takes names of 255 bytes, and space, resolution, recipe and ending of an output are added to these
LONGEST_BYTES = 150


@dataclass(frozen=True)
class Source:
    """A scan in an input.

    `path` is its image, its FreeSurfer or FastSurfer folder, or its DICOM folder, as `kind` says; `labels` are further BIDS
    entities (acq, run) that tell it from the participant's other scans; `declared` is what it is known to be; `columns`
    are the cells that its table has of it; `name` is what it is called in the input, without the folders above;
    `series` is the number of its DICOM series, where one was chosen.

    Example:
        >>> Source("OAS1_0001", "", Path("a.nii"), labels={"run": "2"}).stem
        'sub-OAS10001_run-2'
    """

    participant_id: str
    session_id: str
    path: Path
    kind: str = IMAGE
    mask: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    series: int | None = None

    @property
    def label(self) -> str:
        """Participant, session and labels in one text."""
        labels = [f"{key}-{value}" for key, value in self.labels.items()]
        return " ".join(part for part in (self.participant_id, self.session_id, *labels) if part)

    @property
    def stem(self) -> str:
        """The beginning of the names of its outputs, in BIDS' way: labels keep their letters and digits only."""
        parts = [f"sub-{bids_label(self.participant_id, 'sub-')}"]
        if self.session_id:
            parts.append(f"ses-{bids_label(self.session_id, 'ses-')}")
        return "_".join([*parts, *(f"{key}-{bids_label(value)}" for key, value in self.labels.items())])

    @property
    def folder(self) -> Path:
        """The folder of its images below the output."""
        parts = self.stem.split("_")
        session = [part for part in parts[1:2] if part.startswith("ses-")]
        return Path(parts[0], *session, "anat")


def bids_label(text: str, prefix: str = "") -> str:
    """The letters and digits of a name, which are all that a BIDS label may have; é is one letter however it is stored.

    Raises:
        InputError: when it has none.

    Example:
        >>> bids_label("sub-A_1 b", "sub-")
        'A1b'
    """
    whole = unicodedata.normalize("NFC", text.removeprefix(prefix))
    label = "".join(sign for sign in whole if sign.isalnum())
    if not label:
        raise InputError(f"{text!r} has no letter and no digit to name an output by; rename it")
    return label


def declared_of(names: tuple[str, ...]) -> frozenset[str]:
    """What was declared, checked.

    Raises:
        InputError: for a word that is none of `DECLARABLE`.
    """
    for name in names:
        if name not in DECLARABLE:
            raise InputError(unknown("declaration", name, DECLARABLE))
    return frozenset(names)


def problems_of_names(sources: Sequence[Source]) -> list[str]:
    """What forbids to write the outputs of these scans side by side, each in words; empty when nothing does.

    Names are compared as the strictest file systems do: capital letters and the ways to store an accent do not count.

    Example:
        >>> problems_of_names([Source("A_1", "", Path("a"), name="A_1.nii"), Source("a1", "", Path("b"), name="a1.nii")])
        ["A_1 ('A_1.nii') and a1 ('a1.nii') would all be written as 'sub-A1'"]
    """
    problems, named = [], []
    for source in sources:
        problem = _problem_of_name(source)
        if problem:
            problems.append(problem)
        else:
            named.append(source)
    return problems + list(_problems_of_same(named))


def _problem_of_name(source: Source) -> str:
    try:
        stem = source.stem
    except InputError as error:
        return str(error)
    if source.participant_id in MISSING:
        return f"the participant of {source.name!r} is called {source.participant_id!r}, which says missing in a table"
    n_bytes = len(stem.encode())
    return f"the name {stem!r} has {n_bytes} bytes; allowed: {LONGEST_BYTES}" if n_bytes > LONGEST_BYTES else ""


def _problems_of_same(sources: Sequence[Source]) -> Iterator[str]:
    by_stem: dict[str, list[Source]] = defaultdict(list)
    by_person: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        by_stem[_folded(source.stem)].append(source)
        by_person[_folded(source.folder.parts[0])].add(source.participant_id)
    told: set[str] = set()
    for same in by_stem.values():
        if len(same) > 1:
            told |= {one.participant_id for one in same}
            yield f"{' and '.join(_called(one) for one in same)} would all be written as {same[0].stem!r}"
    for folder, people in by_person.items():
        if len(people) > 1 and not people <= told:
            yield f"participants {' and '.join(map(repr, sorted(people)))} would all be written as one, {folder!r}"


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _called(source: Source) -> str:
    return f"{source.label} ({source.name!r})" if source.name else source.label

"""One scan to be prepared: whose it is, where it lies, what is known of it, and what its outputs are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurotransfer.errors import InputError, unknown

IMAGE, SUBJECT, DICOM = "image", "subject", "dicom"
# what a user may say of all scans of an input
DECLARABLE = ("stripped", "unbiased", "registered", "conformed", "normalised")


@dataclass(frozen=True)
class Source:
    """A scan in an input.

    `path` is its image, its FreeSurfer or FastSurfer folder, or its DICOM folder, as `kind` says; `labels` are further BIDS
    entities (acq, run) that tell it from the participant's other scans; `declared` is what it is known to be; `columns`
    are the cells that its table has of it; `name` is what it is called in the input, without the folders above.

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
    """The letters and digits of a name, which are all that a BIDS label may have.

    Raises:
        InputError: when it has none.

    Example:
        >>> bids_label("sub-A_1 b", "sub-")
        'A1b'
    """
    label = "".join(sign for sign in text.removeprefix(prefix) if sign.isalnum())
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

"""Weights that others have published: where each release lies, under which licence, what to cite, and how to fetch it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from neurotransfer.errors import ModelError, unknown
from neurotransfer.models.download import download
from neurotransfer.models.transport import Transport

# a network of three million weights has 12 MB; a host that sends much more sends something else
MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class PublishedFile:
    """One file of a release; what is not known is None.

    Attributes:
        name: under which it is kept.
        url: from which it is read.
        git_blob: the SHA-1 by which git names its contents, 40 hexadecimal digits.
        sha256: 64 hexadecimal digits.
        size: in bytes.
        accept: the form in which the server is asked for it.
    """

    name: str
    url: str
    git_blob: str | None = None
    sha256: str | None = None
    size: int | None = None
    accept: str = "*/*"

    @property
    def is_checked(self) -> bool:
        """Whether a checksum is known, by which a file that was changed on its way is refused."""
        return bool(self.git_blob or self.sha256)


@dataclass(frozen=True)
class Release:
    """A published network that can be converted, see `neurotransfer models convert`.

    Attributes:
        kind: its name in this package.
        title: what it is.
        licence: an identifier of SPDX.
        citation: what to cite.
        page: where its authors publish it.
        files: all that is needed to convert it; of several networks (the folds of a cross-validation) each is one file.
        note: what a user should know.
    """

    kind: str
    title: str
    licence: str
    citation: str
    page: str
    files: tuple[PublishedFile, ...]
    note: str = ""


_PYMENT = "https://github.com/estenhl/pyment-public"
_PYMENT_BLOBS = "https://api.github.com/repos/estenhl/pyment-public/git/blobs/"
_PYMENT_LICENCE = "CC-BY-NC-4.0"
_UKB = "https://github.com/ha-ha-ha-han/UKBiobank_deep_pretrain"
_UKB_FILES = "https://raw.githubusercontent.com/ha-ha-ha-han/UKBiobank_deep_pretrain/master/"

_LEONARDSEN_2022 = (
    "Leonardsen et al. (2022), Deep neural networks learn general and clinically relevant representations of the ageing brain, "
    "NeuroImage 256:119210, doi:10.1016/j.neuroimage.2022.119210"
)
_LEONARDSEN_2024 = (
    "Leonardsen et al. (2024), Constructing personalized characterizations of structural brain aberrations in patients with "
    "dementia using explainable artificial intelligence, npj Digital Medicine 7:110; preprint doi:10.1101/2023.06.22.23291592"
)
_LEONARDSEN_2025 = (
    "Leonardsen et al. (2025), Learning diverse and generic representations of the brain with large-scale multi-task "
    "pretraining, medRxiv, doi:10.64898/2025.12.19.25342659"
)
_PENG_2021 = (
    "Peng et al. (2021), Accurate brain age prediction with lightweight deep neural networks, Medical Image Analysis 68:101871, "
    "doi:10.1016/j.media.2020.101871"
)
_OLDER = (
    "Since version 4 the repository names newer models on its page; this file is in its history, where git still finds it. "
    "Not for commercial use."
)
_NO_CHECKSUM = "No checksum is published; compare the SHA-256 that is printed with that of a colleague."


def _blob(name: str, sha: str) -> PublishedFile:
    # the repository's own way to hand out its weights: git's contents, by their name, through the interface of its host
    return PublishedFile(name, _PYMENT_BLOBS + sha, git_blob=sha, accept="application/vnd.github.raw")


def _checkpoint(name: str, index: str, data: str) -> tuple[PublishedFile, ...]:
    return _blob(f"{name}.index", index), _blob(f"{name}.data-00000-of-00001", data)


_FOLDS = (
    "1f43aafd2461d7e5b4f9ebb6d62e0f2ab363e1b8",
    "a0da6b724f3c1477ae2f461c49a91b7d2f46ac72",
    "cec0eb79f043a3415f5ab13977dfda24e1f7dc30",
    "c885fee44d4839d37d8bcdfd970391788ee85004",
    "35d3b0343b83a9851a140cab7baed2dd36e35185",
)

RELEASES: dict[str, Release] = {
    release.kind: release
    for release in (
        Release(
            "sfcn-reg-2022",
            "Brain age by regression, 34 285 people",
            _PYMENT_LICENCE,
            _LEONARDSEN_2022,
            _PYMENT,
            (_blob("regression_sfcn_brain_age_weights.h5", "f87a66558433308bb8a5ecfb6aaa784811c5cd45"),),
            _OLDER,
        ),
        Release(
            "sfcn-sm-2022",
            "Brain age by soft classification over bins of a year, 34 285 people",
            _PYMENT_LICENCE,
            _LEONARDSEN_2022,
            _PYMENT,
            (_blob("soft_classification_sfcn_brain_age_weights.h5", "7b4f7bf4c989b80877b0bc0efe8b5125157788b5"),),
            _OLDER,
        ),
        Release(
            "sfcn-rank-2022",
            "Brain age by ranks, 34 285 people",
            _PYMENT_LICENCE,
            _LEONARDSEN_2022,
            _PYMENT,
            (_blob("ranking_sfcn_brain_age_weights.h5", "5d1bc5fc66327eb905acf81d9956f0391277b078"),),
            _OLDER,
        ),
        Release(
            "sfcn-bin-2024",
            "Dementia against healthy people, five folds of 1 366 people",
            _PYMENT_LICENCE,
            _LEONARDSEN_2024,
            _PYMENT,
            tuple(_blob(f"binary_sfcn_dementia_2024_fold_{fold}_weights.h5", sha) for fold, sha in enumerate(_FOLDS)),
            f"Each file is a network of its own, named for the fold that was held out of its training. {_OLDER}",
        ),
        Release(
            "multi-2025",
            "Age, sex, handedness, BMI, fluid intelligence and neuroticism together",
            _PYMENT_LICENCE,
            _LEONARDSEN_2025,
            _PYMENT,
            _checkpoint(
                "multi-2025", "9c208ca0bcc3969ceb281ba63a8cee4944a63157", "f4054d701fa59971fb7000d38cf9e63a202bd66a"
            ),
            "The one to fine-tune from, its authors say. Not for commercial use.",
        ),
        Release(
            "reg-2025",
            "Brain age by regression",
            _PYMENT_LICENCE,
            _LEONARDSEN_2025,
            _PYMENT,
            _checkpoint(
                "reg-2025", "0748f0c6e83272d74735ba7b1a796a43519df66f", "a876e76e382b0da7375f81686a20620415817b7f"
            ),
            "Not for commercial use.",
        ),
        Release(
            "sfcn-ukb-age",
            "Brain age over bins from 42 to 82 years, 12 949 people of UK Biobank",
            "MIT",
            _PENG_2021,
            _UKB,
            (
                PublishedFile(
                    "run_20190719_00_epoch_best_mae.p", _UKB_FILES + "brain_age/run_20190719_00_epoch_best_mae.p"
                ),
            ),
            _NO_CHECKSUM,
        ),
        Release(
            "sfcn-ukb-sex",
            "Sex, people of UK Biobank",
            "MIT",
            _PENG_2021,
            _UKB,
            (
                PublishedFile(
                    "run_20191008_00_epoch_last.p", _UKB_FILES + "sex_prediction/run_20191008_00_epoch_last.p"
                ),
            ),
            _NO_CHECKSUM,
        ),
    )
}


def find_release(kind: str) -> Release:
    """A row of RELEASES.

    Raises:
        ModelError: for a kind that is not in the table.

    Example:
        >>> find_release("sfcn-ukb-age").licence
        'MIT'
    """
    if kind not in RELEASES:
        raise ModelError(unknown("published model", kind, RELEASES))
    return RELEASES[kind]


def fetch(
    kind: str,
    folder: Path,
    transport: Transport | None = None,
    on_size: Callable[[int], object] = lambda total: None,
    on_mebibyte: Callable[[], object] = lambda: None,
) -> list[Path]:
    """Fetch every file of a release into a folder, checked where a checksum is known; what lies there already is kept.

    Args:
        kind: a row of RELEASES.
        folder: that gets the files; it is made.
        transport: how the network is used.
        on_size: called for each file with its size in mebibytes, 0 when it is not known.
        on_mebibyte: called for each of them.

    Returns:
        The files, in the order of the table; the first one is what a converter takes.

    Raises:
        ModelError: for an unknown kind, one whose files are nowhere to be fetched, or a file that is not the published one.
        InputError: when the network is not to be used, or the host is out of reach or refuses.
        StorageError: when the folder cannot be written.

    Example:
        >>> fetch("sfcn-ukb-age", Path("weights"), Transport(is_offline=True))
        Traceback (most recent call last):
        ...
        neurotransfer.errors.InputError: 'weights/run_20190719_00_epoch_best_mae.p' is not here, and the network ...
    """
    release = find_release(kind)
    if not release.files:
        raise ModelError(
            f"it is not known where the files of {kind!r} can be fetched; ask for them at {release.page}, then run "
            f"`neurotransfer models convert FILE --as {kind} --out MODEL`"
        )
    transport = transport or Transport()
    limited = replace(transport, most_bytes=min(transport.most_bytes, MOST_BYTES))
    return [
        download(
            file.url,
            folder / file.name,
            file.sha256,
            file.git_blob,
            file.size,
            accept=file.accept,
            advice=_by_hand(release, file, folder),
            transport=limited,
            on_size=on_size,
            on_mebibyte=on_mebibyte,
        )
        for file in release.files
    ]


def _by_hand(release: Release, file: PublishedFile, folder: Path) -> str:
    return (
        f"fetch {file.url} by hand where there is a network (its page: {release.page}), put it at {str(folder / file.name)!r}, and "
        f"go on with `neurotransfer models convert {folder / release.files[0].name} --as {release.kind} --out MODEL`"
    )

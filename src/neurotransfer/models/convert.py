"""Weights that others have published, as models of this package that give the same numbers in float32.

In bfloat16, which an engine chooses where a processor multiplies it, they differ by a hundredth, that of 2025 by up to a tenth of the
largest value: `neurotransfer predict` and `embed` run them in float32 unless told otherwise.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurotransfer.artifacts import provenance
from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.cohort.volumes import way_of
from neurotransfer.errors import ModelError, listed
from neurotransfer.models.arrays import files_of, read_arrays
from neurotransfer.models.card import Card
from neurotransfer.models.contents import fingerprint
from neurotransfer.models.conversions import EPSILON, Conversion, Head, get_conversion, kinds_of
from neurotransfer.models.folder import Model
from neurotransfer.models.layouts import HeadLayer, Layout, layout_of
from neurotransfer.models.loading import LoadReport, load_all
from neurotransfer.models.network import Network, build_encoder
from neurotransfer.models.published import Release, find_release
from neurotransfer.models.sfcn import FEATURES, FILTERS

STRATEGY = "converted"
TRACKED = "num_batches_tracked"


@dataclass(frozen=True)
class Converted:
    """A model of published weights, and what became of every array of their file.

    Attributes:
        model: ready to predict, or to be saved by `save_model`.
        report: of the tensors of the network.
        tensors: names in the file by the names in the network; a tensor of the network that is worked out of no array lacks.
        ignored: names in the file of what belongs to the training.
        is_published: whether the files are those of the release, by their checksums; None where no checksum is known.
    """

    model: Model
    report: LoadReport
    tensors: Mapping[str, str]
    ignored: tuple[str, ...]
    is_published: bool | None


def convert(path: Path | str, kind: str) -> Model:
    """A model from a file of published weights; see `converted` for what became of the arrays.

    Raises:
        ModelError: as `converted`.

    Example:
        >>> convert("weights.h5", "sfcn-reg-2023")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.ModelError: unknown kind of published weights 'sfcn-reg-2023'; ...
    """
    return converted(path, kind).model


def converted(path: Path | str, kind: str) -> Converted:
    """A model from a file of published weights, with architecture, heads, input contract, licence and citation of its kind.

    The numbers of filters are those of the file. Every array of the file is used once or belongs to the training, or nothing is
    converted.

    Args:
        path: a file that `read_arrays` takes.
        kind: a row of `neurotransfer.models.conversions.KINDS`.

    Raises:
        ModelError: for an unknown kind, a file that cannot be read, is of another kind (which is named) or of no kind.
    """
    row = get_conversion(kind)
    release = find_release(kind)
    layout = layout_of(read_arrays(path), repr(str(path)))
    _require_kind(row, layout, path)
    pairs = row.paired(layout)
    arguments = _arguments(row, layout)
    targets = tuple(head.target_of(layer.n_outputs) for head, layer in pairs)
    network = Network(build_encoder("sfcn", arguments), targets).eval()
    state = {name: array for name, (_, array) in layout.body.items()}
    tensors = {name: there for name, (there, _) in layout.body.items()}
    for target, (head, layer) in zip(targets, pairs, strict=True):
        place = next(name for name, module in network.named_modules() if module is network.head(target.name))
        state[f"{place}.weight"], state[f"{place}.bias"] = head.tensors_of(layer)
        tensors |= {f"{place}.weight": layer.weight[0], f"{place}.bias": layer.bias[0]}
    report = load_all(network, _whole(network, state), repr(str(path)))
    files, is_published = _files(path, release)
    facts = {
        "kind": kind,
        "page": release.page,
        "files": files,
        "is_published": is_published,
        "tensors": tensors,
        "ignored": list(layout.ignored),
        "notes": [*row.notes, *_of_order(pairs), *([release.note] if release.note else [])],
    }
    return Converted(
        Model(network, _card(row, release, arguments, targets, facts)), report, tensors, layout.ignored, is_published
    )


def _of_order(pairs: Sequence[tuple[Head, HeadLayer]]) -> list[str]:
    """What to know where several heads were told apart by their order alone."""
    named = all(layer.name.endswith(f"_{head.target.name}") for head, layer in pairs)
    order = ", ".join(head.target.name for head, _ in pairs)
    return (
        [] if named or len(pairs) == 1 else [f"no head bears a name: they were taken in the published order, {order}"]
    )


def _require_kind(row: Conversion, layout: Layout, path: Path | str) -> None:
    problems = row.problems(layout)
    if problems:
        fitting = kinds_of(layout)
        advice = (
            f"it can be converted --as {' or '.join(fitting)}" if fitting else "it is of no kind that is known here"
        )
        raise ModelError(listed(f"{str(path)!r} as {row.kind}", problems, advice))


def _arguments(row: Conversion, layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {"pooling": row.pooling, "epsilon": EPSILON[row.framework], "unit": row.contract.unit}
    usual = layout.filters == (*FILTERS, FEATURES)
    return found if usual else found | {"filters": list(layout.filters)}


def _whole(network: Network, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The state in the numbers of the network; counters of batches, which only a training needs, may lack."""
    found = {
        name: np.asarray(array, np.int64 if name.endswith(TRACKED) else np.float32, order="C")
        for name, array in state.items()
    }
    return {name: np.zeros((), np.int64) for name in network.state_dict() if name.endswith(TRACKED)} | found


def _files(path: Path | str, release: Release) -> tuple[list[dict[str, Any]], bool | None]:
    """What is known of the files, and whether all of them are files of the release."""
    found, known = [], [file for file in release.files if file.is_checked]
    for file in files_of(path):
        size, sha256, git_blob = fingerprint(file)
        same = [each.name for each in known if git_blob == each.git_blob or sha256 == each.sha256]
        found.append(
            {
                "name": file.name,
                "size": size,
                "sha256": sha256,
                "git_blob": git_blob,
                "published_as": same[0] if same else "",
            }
        )
    return found, all(each["published_as"] for each in found) if known else None


def _card(
    row: Conversion, release: Release, arguments: dict[str, Any], targets: tuple[Any, ...], facts: dict[str, Any]
) -> Card:
    return Card(
        name=row.kind,
        architecture="sfcn",
        arguments=arguments,
        targets=targets,
        input=row.contract,
        recipe=way_of(row.contract),
        strategy=STRATEGY,
        provenance=provenance(**facts),
        licence=release.licence,
        citation=release.citation,
        # as a card that is read again has it, with lists for tuples
        preparation=json.loads(json.dumps(RECIPES[row.recipe].facts())),
    )

"""Share a model folder on a hub of models, and take one from there: its four files, and nothing else."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurotransfer.artifacts import is_folder, require_writable, storage
from neurotransfer.errors import InputError, ModelError, listed
from neurotransfer.models.contents import Contents
from neurotransfer.models.folder import CARD, FILES, README, WEIGHTS, find_model, load_model
from neurotransfer.models.hub_access import Hub
from neurotransfer.models.transport import Transport

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

MESSAGE = "Upload a model of neurotransfer"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
# a place on the disk of whoever made the model, which often has a person's name in it
_PLACE = re.compile(
    r"(?<![\w/.~])(?<!https:)(?<!http:)(?:file://|~)?(?:/[\w.+-]+/[\w.+/-]*|[A-Za-z]:\\[^\s'\"]*|\\\\[\w.-]+\\[^\s'\"]*)"
)


@dataclass(frozen=True)
class Shared:
    """What was sent or taken.

    Attributes:
        repository: OWNER/NAME.
        commit: the version, 40 hexadecimal digits.
        url: of the repository.
        files: names that were sent or taken.
        left: names that lie beside them and were not.
    """

    repository: str
    commit: str
    url: str
    files: tuple[str, ...]
    left: tuple[str, ...]


def push(
    folder: Path,
    repository: str,
    token: str | None = None,
    is_private: bool = True,
    message: str = MESSAGE,
    endpoint: str | None = None,
    transport: Transport | None = None,
) -> Shared:
    """Send a model folder to a repository, which is made where there is none; in one commit, so that no half of it is ever there.

    Only `weights.safetensors`, `model.json`, `README.md` and `reference.safetensors` are sent. What of these an earlier version
    had and this one has not is taken away; whatever else lies there stays.

    Args:
        folder: of a whole model.
        repository: OWNER/NAME.
        token: with the right to write; else that of the environment (HF_TOKEN) or of `hf auth login`.
        is_private: of a repository that is made; one that is there stays as it is.
        message: of the commit.
        endpoint: of the hub; else that of the environment (HF_ENDPOINT), else the public one.
        transport: waits before further tries; whether the network may be used.

    Raises:
        ModelError: when the folder is no whole model, or holds what must not be shared: a link, a place on your disk.
        InputError: when the name, the token or the right is wrong, the hub is out of reach, or the network is not to be used.

    Example:
        >>> push(Path("nowhere"), "me/model")
        Traceback (most recent call last):
        ...
        neurotransfer.errors.ModelError: 'nowhere' is no model folder: no model.json; make one with ...
    """
    _require_name(repository)
    if not message.strip():
        raise InputError("the message of a commit is empty; say in some words what it is")
    folder = find_model(folder)
    load_model(folder)
    names = tuple(name for name in FILES if (folder / name).exists())
    _require_shareable(folder, names)
    hub = Hub.of(repository, token, endpoint, transport, writes=True)
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    hub.ask(hub.api.create_repo, repository, private=is_private, exist_ok=True, repo_type="model")
    there = _names_of(hub.ask(hub.api.model_info, repository))
    # an operation knows that it was done: each try has its own
    commit = hub.ask(
        lambda: hub.api.create_commit(
            repository,
            [
                *(CommitOperationAdd(name, str(folder / name)) for name in names),
                *(CommitOperationDelete(name) for name in FILES if name in there and name not in names),
            ],
            commit_message=message,
        )
    )
    left = tuple(sorted(path.name for path in folder.iterdir() if path.name not in names))
    return Shared(repository, str(commit.oid), f"{hub.endpoint}/{repository}", names, left)


def pull(
    repository: str,
    folder: Path,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    transport: Transport | None = None,
) -> Shared:
    """Take a model from a repository into a new folder, which is there whole and checked, or not at all.

    Nothing but the four files of a model is fetched; what can run code, such as a pickle, never is. Each is compared with the
    hub's own checksum, and the model is loaded before the folder gets its name.

    Args:
        repository: OWNER/NAME.
        folder: to be made; what is there is never written over.
        revision: a branch, a tag or a commit; the newest one when it is not given.
        token: for a private repository; else that of the environment (HF_TOKEN) or of `hf auth login`.
        endpoint: of the hub; else that of the environment (HF_ENDPOINT), else the public one.
        transport: waits before further tries; whether the network may be used.

    Raises:
        ModelError: when something is in `folder`, or what lies in the repository is no whole model of this package.
        InputError: when there is no such repository or revision, the token is wrong, the hub is out of reach, or the network is
            not to be used.
        StorageError: when the disk is full or the place cannot be written.

    Example:
        >>> pull("no model", Path("mine"))
        Traceback (most recent call last):
        ...
        neurotransfer.errors.InputError: 'no model' is no name of a repository; allowed: OWNER/NAME, of letters, digits, - _ .
    """
    _require_name(repository)
    # a name of its own, also for the folder that one is in
    folder = folder.absolute()
    _require_free(folder)
    hub = Hub.of(repository, token, endpoint, transport)
    info = hub.ask(hub.api.model_info, repository, revision=revision, files_metadata=True)
    there = _names_of(info)
    if absent := [name for name in (CARD, WEIGHTS) if name not in there]:
        raise ModelError(
            f"{repository!r} holds no model of neurotransfer: no {' and no '.join(absent)}; models of others come with "
            "`neurotransfer models download`, see `neurotransfer models list`"
        )
    names = tuple(name for name in FILES if name in there)
    require_writable(folder.parent)
    with storage(folder), tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        whole = Path(place) / "whole"
        whole.mkdir()
        _take(hub, info, names, Path(place) / "came", whole)
        try:
            load_model(whole)
        except ModelError as error:
            text = str(error).replace(repr(str(whole)), repr(repository)).replace(str(whole), repository)
            raise ModelError(f"what lies in {repository!r} is no whole model: {text}") from None
        _require_free(folder)
        if is_folder(folder):
            folder.rmdir()
        whole.rename(folder)
    left = tuple(sorted(set(there) - set(names)))
    return Shared(repository, str(info.sha), f"{hub.endpoint}/{repository}", names, left)


def _take(hub: Hub, info: "ModelInfo", names: Sequence[str], came: Path, whole: Path) -> None:
    siblings = {each.rfilename: each for each in info.siblings or ()}
    for name in names:
        path = Path(
            hub.ask(
                hub.api.hf_hub_download, hub.repository, name, revision=info.sha, local_dir=came, force_download=True
            )
        )
        if problems := _expected(siblings[name]).problems(path):
            raise ModelError(listed(f"{hub.repository}/{name}", problems, "nothing of it is kept; run it again"))
        shutil.move(path, whole / name)


def _expected(sibling: Any) -> Contents:
    if sibling.lfs:
        return Contents(sha256=sibling.lfs.sha256, size=sibling.lfs.size)
    return Contents(git_blob=sibling.blob_id, size=sibling.size)


def _names_of(info: "ModelInfo") -> tuple[str, ...]:
    return tuple(each.rfilename for each in info.siblings or ())


def _require_name(repository: str) -> None:
    if not _NAME.fullmatch(repository) or ".." in repository or "--" in repository:
        raise InputError(f"{repository!r} is no name of a repository; allowed: OWNER/NAME, of letters, digits, - _ .")


def _require_free(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise ModelError(f"something lies already in {str(folder)!r}; give another --out, or remove it")


def _require_shareable(folder: Path, names: Sequence[str]) -> None:
    problems = [f"{name} is a link" for name in names if (folder / name).is_symlink()]
    for name in (CARD, README):
        if name in names and not problems:
            text = (folder / name).read_text(encoding="utf-8", errors="replace").replace("\\\\", "\\")
            problems += [f"{name} names a place on a disk: {place!r}" for place in sorted(set(_PLACE.findall(text)))]
    if problems:
        text = (
            "nothing was sent: put files in place of links, and take such places out (the name of a folder is enough)"
        )
        raise ModelError(listed(str(folder), problems, text, most=20))

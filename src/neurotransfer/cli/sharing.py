"""Commands that fetch models and share them: models download, push, pull."""

from pathlib import Path
from typing import Annotated

import typer

from neurotransfer.cli.options import ModelFolder, models_app, say

Repository = Annotated[str, typer.Argument(help="OWNER/NAME on the hub; HF_ENDPOINT says which hub.")]


@models_app.command()
def download(
    kind: Annotated[str, typer.Argument(help="A published release, multi-2025 for example; see `models list`.")],
    out: Annotated[Path, typer.Option(help="The folder that gets its files.")],
) -> None:
    """Fetch weights that others have published; says under which licence they are, and how to convert them."""
    from neurotransfer.models.contents import fingerprint
    from neurotransfer.models.published import fetch, find_release
    from neurotransfer.progress import late_bar

    release = find_release(kind)
    say([f"{release.title}, from {release.page}", f"licence {release.licence}; please cite {release.citation}"])
    say([release.note] if release.note else [])
    sizes: list[int] = []
    with late_bar(f"fetch {kind}") as (begin, advance):

        def on_size(n: int) -> None:
            sizes.append(n)
            begin(sum(sizes))

        paths = fetch(kind, out, on_size=on_size, on_mebibyte=advance)
    unchecked = [path for path, file in zip(paths, release.files, strict=True) if not file.is_checked]
    say(f"SHA-256 of {path.name}: {fingerprint(path)[1]}" for path in unchecked)
    print("\n".join(map(str, paths)))
    say([f"next: neurotransfer models convert {paths[0]} --as {kind} --out MODEL"])


@models_app.command()
def push(
    model: ModelFolder,
    repository: Repository,
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who may see a repository that is made; one that is there stays.")
    ] = True,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "",
) -> None:
    """Send a model to a hub: its four files and nothing else. The token is taken from HF_TOKEN or `hf auth login`."""
    from neurotransfer.models.folder import read_card
    from neurotransfer.models.hub import MESSAGE
    from neurotransfer.models.hub import push as send

    shared = send(model, repository, is_private=private, message=message or MESSAGE)
    say([f"sent {', '.join(shared.files)} as version {shared.commit}"])
    say([f"not sent: {', '.join(shared.left)}"] if shared.left else [])
    if read_card(model).licence == "unstated":
        say(["the card states no licence, so nobody knows what may be done with the model; state one and push again"])
    print(shared.url)


@models_app.command()
def pull(
    repository: Repository,
    out: Annotated[Path, typer.Option(help="The model folder to make.")],
    revision: Annotated[str | None, typer.Option(help="A branch, a tag or a commit; the newest without it.")] = None,
) -> None:
    """Take a model from a hub into a new folder, checked before it is there; what can run code is never fetched."""
    from neurotransfer.models.folder import read_card
    from neurotransfer.models.hub import pull as take

    shared = take(repository, out, revision)
    card = read_card(out)
    say([f"took {', '.join(shared.files)} of version {shared.commit}"])
    say([f"not taken: {', '.join(shared.left)}"] if shared.left else [])
    say([f"licence {card.licence}; please cite {card.citation or 'as its makers say'}"])
    print(out)

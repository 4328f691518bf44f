"""What strategies are called in sentences, and tasks in the names of figures."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

SCRATCH = "baseline"
PRETRAINED = ("transferred", "frozen", "finetuned")
BARS = ("linear", "voxels")
_WORDS = {
    "transferred": "the pretrained network as it is",
    "frozen": "a new head on the frozen network",
    "finetuned": "finetuning",
    "baseline": "training from scratch",
    "random-frozen": "a head on an untrained network",
    "linear": "the linear model",
    "voxels": "the linear model on voxels",
    "perceptron": "a network on regional volumes",
}
_OF_MODEL = {
    "transferred": "{model} as it is",
    "frozen": "a new head on frozen {model}",
    "finetuned": "finetuning {model}",
}


def kind_of(label: str, kinds: Mapping[str, Mapping[str, str]]) -> str:
    """The strategy behind a label, as the study says it; the label itself where it says nothing."""
    return str(kinds.get(label, {}).get("strategy") or label)


def in_words(labels: Sequence[str], kinds: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What each strategy is called in a sentence; its label where the study gave it one of its own, or words would not tell it apart.

    Example:
        >>> in_words(["multi-finetuned", "baseline"], {"multi-finetuned": {"strategy": "finetuned", "model": "multi"}})
        {'multi-finetuned': 'finetuning', 'baseline': 'training from scratch'}
    """
    models = {kinds[label].get("model") for label in labels if kind_of(label, kinds) in PRETRAINED and label in kinds}
    found = {label: _words(label, kinds, len(models) > 1) for label in labels}
    counts = Counter(found.values())
    return {label: words if counts[words] == 1 else label for label, words in found.items()}


def _words(label: str, kinds: Mapping[str, Mapping[str, str]], several: bool) -> str:
    kind, model = kind_of(label, kinds), kinds.get(label, {}).get("model") or ""
    if kind not in _WORDS or label not in (kind, f"{model}-{kind}"):
        return label
    return _OF_MODEL[kind].format(model=model) if several and kind in _OF_MODEL and model else _WORDS[kind]


class Names:
    """Words for strategies in a text; the label of a figure follows when a strategy is first called by words that lack it."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words, self._said = dict(words), set[str]()

    def __getitem__(self, label: str) -> str:
        words = self._words.get(label, label)
        is_new = label not in self._said
        self._said.add(label)
        return f"{words} ({label})" if is_new and label not in words else words


def slugs(names: Iterable[str]) -> list[str]:
    """Names as names of figures and files: letters, digits, `-` and `_`, none twice.

    Example:
        >>> slugs(["age", "age/years", "age years"])
        ['age', 'age-years', 'age-years-3']
    """
    found: list[str] = []
    for index, name in enumerate(names, 1):
        slug = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "task"
        found.append(f"{slug}-{index}" if slug in found else slug)
    return found

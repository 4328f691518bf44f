"""The errors that a user can cause and mend; every one ends a command with exit code 2 and no traceback."""

import difflib
from collections.abc import Iterable, Sequence


class NeurotransferError(Exception):
    """Anything that `neurotransfer` refuses; the message says what was found, what is allowed and what to do.

    Example:
        >>> try:
        ...     raise StudyError("the study has no tasks; add a [tasks.NAME] table")
        ... except NeurotransferError as error:
        ...     print(error)
        the study has no tasks; add a [tasks.NAME] table
    """


class InputError(NeurotransferError):
    """An argument, a file or a value that cannot be used."""


class CohortError(InputError):
    """A table of scans with problems; `problems` lists every one of them, each with its row.

    Example:
        >>> print(CohortError("cohort.tsv", ["row 3: sub-02: no such image 'a.nii'"]))
        1 problem in cohort.tsv:
          row 3: sub-02: no such image 'a.nii'
    """

    def __init__(self, source: object, problems: Sequence[str], advice: str = "") -> None:
        self.problems = list(problems)
        self._parts = (source, self.problems, advice)
        super().__init__(listed(source, self.problems, advice))

    def __reduce__(self) -> tuple[type["CohortError"], tuple[object, list[str], str]]:
        # without it a worker process that raises this error cannot send it home
        return type(self), self._parts


class ImageError(InputError):
    """A volume that cannot be read or does not fit the input contract of a network."""


class StudyError(InputError):
    """A study file with unknown keys or values that cannot be run."""


class ModelError(InputError):
    """A model folder that is absent, incomplete or does not fit what is asked of it."""


class LeakageError(InputError):
    """A participant who would be in more than one of train, validation and test."""


class StorageError(InputError):
    """A file or folder that cannot be written: disk full, quota reached, no permission."""


class DivergedError(InputError, FloatingPointError):
    """A training whose loss is not finite; the best weights so far are kept."""


class InterruptedRunError(NeurotransferError):
    """A run that was stopped from outside; what was finished is kept."""


def listed(source: object, problems: Sequence[str], advice: str = "", most: int = 1000) -> str:
    """All problems of one input in one message, at most `most` of them written out.

    Example:
        >>> print(listed("study.toml", ["a", "b"], "mend both"))
        2 problems in study.toml:
          a
          b
        mend both
    """
    head = f"{len(problems)} problem{'s' * (len(problems) != 1)} in {source}:"
    lines = [f"  {problem}" for problem in problems[:most]]
    more = [f"  ... and {len(problems) - most} more"] if len(problems) > most else []
    return "\n".join([head, *lines, *more, *([advice] if advice else [])])


def unknown(what: str, value: object, allowed: Iterable[object]) -> str:
    """The message for a value that is not in a list: value, allowed values, closest match.

    Example:
        >>> unknown("strategy", "finetune", ["finetuned", "frozen"])
        "unknown strategy 'finetune'; allowed: finetuned, frozen; did you mean 'finetuned'?"
    """
    names = [str(name) for name in allowed]
    close = difflib.get_close_matches(str(value), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {value!r}; allowed: {', '.join(names) or 'none'}{hint}"


# how torch says in errors that are no MemoryError that memory is short, on a CPU and on a GPU
_NO_MEMORY = ("out of memory", "allocate memory", "not enough memory")


def is_no_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short.

    Example:
        >>> is_no_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")), is_no_memory(ValueError("no"))
        (True, False)
    """
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY)


def raise_of_the_machine(error: Exception) -> None:
    """Raise an error that is the fault of the machine and not of a fit, and do nothing for another one.

    Raises:
        MemoryError, OSError, StorageError: as it is, for another time it may go well; what torch says of memory as a MemoryError.

    Example:
        >>> raise_of_the_machine(FloatingPointError("the loss is not finite"))
    """
    if isinstance(error, StorageError | OSError | MemoryError):
        raise error
    if is_no_memory(error):
        raise MemoryError(str(error)) from None

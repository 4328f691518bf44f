"""Run the command: what a user can mend is one message and exit code 2, without a traceback."""

import signal
import sys
from typing import NoReturn

import typer

from neurotransfer.cli import app
from neurotransfer.errors import NeurotransferError

# every wrong option or argument of typer is one of these; its own name for them is private
_WrongCall: type[Exception] = typer.BadParameter.__bases__[0]  # type: ignore[assignment]

# what typer makes of Ctrl-C outside of its standalone mode
_INTERRUPTED = 130


def _stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """The entry point of `neurotransfer` and of `python -m neurotransfer`."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        code = app(standalone_mode=False)
    except _WrongCall as error:
        error.show()  # type: ignore[attr-defined]
        sys.exit(2)
    except NeurotransferError as error:
        _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        _fail(
            f"not enough memory{reason}; what was finished is kept: use fewer --workers, a smaller batch_size or a coarser "
            "grid, and run it again"
        )
    except OSError as error:
        from neurotransfer.artifacts import is_full

        if not is_full(error):
            raise
        _fail(
            f"no space left on the device ({error.filename or 'a temporary folder'}): free some space and run it again"
        )
    if code == _INTERRUPTED:
        _fail("interrupted; run the same command again")
    sys.exit(code)


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()

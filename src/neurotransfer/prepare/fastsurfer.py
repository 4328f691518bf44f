"""Run FastSurfer's segmentation where it is installed."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from neurotransfer.artifacts import is_file
from neurotransfer.cohort.recipes import Recipe
from neurotransfer.errors import InputError
from neurotransfer.prepare.source import SUBJECT, Source
from neurotransfer.prepare.subjects import Subject, read_subject

TOOL, SCRIPT = "FastSurfer", "run_fastsurfer.sh"
NAME = "scan"
TIMEOUT_S = 3 * 3600
LINES = 5
MADE = ("mri/orig.mgz", "mri/mask.mgz")


def find_fastsurfer() -> Path | None:
    """The script of an installed FastSurfer: on PATH, or in FASTSURFER_HOME; None when there is none."""
    found = shutil.which(SCRIPT)
    if found:
        return Path(found).absolute()
    home = os.environ.get("FASTSURFER_HOME", "")
    script = Path(home).absolute() / SCRIPT
    return script if home and is_file(script) else None


def runs_fastsurfer(source: Source, recipe: Recipe) -> bool:
    """Whether FastSurfer is to be run for a scan: the recipe wants it, it is installed, and the scan is a whole raw head."""
    is_raw = source.kind != SUBJECT and source.mask is None and not source.declared & {"stripped", "conformed"}
    return recipe.tool == TOOL and is_raw and find_fastsurfer() is not None


def run_fastsurfer(image: Path, folder: Path) -> Subject:
    """The subject that `run_fastsurfer.sh --seg_only` makes of a head, in a folder.

    Raises:
        InputError: when it is not installed, fails, with the last lines that it wrote, or does not end within three hours.
    """
    script = find_fastsurfer()
    if script is None:
        raise InputError(f"{SCRIPT} is not on PATH and not in FASTSURFER_HOME; install FastSurfer, or set one of them")
    command = [str(script), "--t1", str(image.resolve()), "--sid", NAME, "--sd", str(folder.absolute()), "--seg_only",
               "--no_cereb", "--no_hypothal", "--threads", "1"]  # fmt: skip
    code, text = _run(command)
    subject = folder / NAME
    absent = [name for name in MADE if not is_file(subject / name)]
    if code != 0 or absent:
        without = f" and made no {' and no '.join(absent)}" if absent else ""
        last = " | ".join(text.strip().splitlines()[-LINES:]) or "nothing"
        raise InputError(f"{SCRIPT} ended with exit code {code}{without}; its last lines: {last}")
    return read_subject(subject)


def _run(command: list[str]) -> tuple[int, str]:
    """The exit code and the words of a script, which ends with all that it started when it takes too long or we stop."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(
            f"{command[0]!r} cannot be run ({error.strerror}); mend it, or take it off PATH and FASTSURFER_HOME"
        ) from None
    with process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise InputError(
                f"{SCRIPT} did not end within {TIMEOUT_S / 3600:g} hours; run it yourself and give its folder"
            ) from None
    return process.returncode, output.decode(errors="replace")

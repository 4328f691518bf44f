"""Run FastSurfer's segmentation where it is installed."""

import os
import shutil
import subprocess
from pathlib import Path

from neurotransfer.artifacts import is_file
from neurotransfer.errors import InputError
from neurotransfer.prepare.subjects import Subject, read_subject

SCRIPT = "run_fastsurfer.sh"
NAME = "scan"
TIMEOUT_S = 3 * 3600
LINES = 5


def find_fastsurfer() -> Path | None:
    """The script of an installed FastSurfer: on PATH, or in FASTSURFER_HOME; None when there is none."""
    found = shutil.which(SCRIPT)
    if found:
        return Path(found)
    home = os.environ.get("FASTSURFER_HOME", "")
    script = Path(home) / SCRIPT
    return script if home and is_file(script) else None


def run_fastsurfer(image: Path, folder: Path) -> Subject | None:
    """The subject that `run_fastsurfer.sh --seg_only` makes of a head, in a folder; None where FastSurfer is not installed.

    Raises:
        InputError: when it fails, with the last lines that it wrote, or does not end within three hours.
    """
    script = find_fastsurfer()
    if script is None:
        return None
    command = [str(script), "--t1", str(image.resolve()), "--sid", NAME, "--sd", str(folder), "--seg_only", "--no_cereb",
               "--no_hypothal", "--threads", "1"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{SCRIPT} did not end within {TIMEOUT_S // 3600} hours; run it yourself and give its folder"
        ) from None
    except OSError as error:
        raise InputError(f"{str(script)!r} cannot be run ({error.strerror}); mend it or take it off PATH") from None
    subject = folder / NAME
    if done.returncode != 0 or not is_file(subject / "mri" / "mask.mgz"):
        last = " | ".join((done.stdout + done.stderr).strip().splitlines()[-LINES:]) or "nothing"
        raise InputError(
            f"{SCRIPT} failed with exit code {done.returncode} and made no mri/mask.mgz; its last lines: {last}"
        )
    return read_subject(subject)

"""The fake run, its page and the evidence of its tasks, made once."""

import fake_run
import pytest

from neurotransfer.report.evidence import evidence_of
from neurotransfer.report.folder import read_run
from neurotransfer.report.page import page_of


@pytest.fixture(scope="session")
def fake_folder(tmp_path_factory):
    return fake_run.write_run(tmp_path_factory.mktemp("fake"))


@pytest.fixture(scope="session")
def fake_page(fake_folder):
    return page_of(fake_folder)


@pytest.fixture(scope="session")
def evidences(fake_folder):
    run = read_run(fake_folder)
    return {task.name: evidence_of(run, task) for task in run.tasks}

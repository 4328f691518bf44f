"""A forecast: its numbers add up, it counts what is open, it leaves nothing behind, and it says what the machine lacks."""

import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurotransfer.benchmark import benchmark
from neurotransfer.benchmark import forecast as module
from neurotransfer.benchmark.effort import Line, Span
from neurotransfer.benchmark.forecast import MARGIN, Forecast, between, forecast, forecast_from
from neurotransfer.benchmark.forecast_words import in_bytes, lines_of, warnings_of
from neurotransfer.benchmark.plan import make_plan
from neurotransfer.benchmark.records import FIT_FIELDS, PREDICTION_FIELDS, keep
from neurotransfer.benchmark.room import Room, _values, bytes_of_cells, free_memory, room_for
from neurotransfer.benchmark.setup import first_plan
from neurotransfer.benchmark.study import parse_study
from neurotransfer.benchmark.trial_fits import Repeated, Standing, line_of
from neurotransfer.benchmark.trial_run import Measured, Trial, measure, peak_memory
from neurotransfer.cohort import read_cohort
from neurotransfer.errors import InputError
from neurotransfer.training import Engine, current, use

EXACT = ("linear", "voxels", "random-frozen")


@pytest.fixture(scope="module")
def cohort(tiny_cohort):
    return read_cohort(tiny_cohort)


@pytest.fixture
def engine():
    before = current()
    yield Engine()
    use(before)


def trial_of(values, cohort, folder, cells=None):
    study = parse_study(values)
    plan = first_plan(study, Path(), cohort, draw=False)
    return Trial(study, Path(), folder / "run", cohort, plan.targets, cells or plan.cells, Engine(), folder)


@pytest.fixture
def measured():
    return Measured(
        scan={"": 0.5},
        features={"a": (0.1, 400), "b": (0.2, 800)},
        lines={name: Line(0.0, 0.0, 0.01) for name in ("baseline", "multi-finetuned")},
        cells={
            (task, title, n): seconds
            for task in ("age", "diagnosis")
            for title in ("multi-frozen", "multi-transferred", *EXACT)
            for n, seconds in ((10, 1.0), (15, 1.5))
        },
        memory=1e9,
    )


@pytest.fixture
def whole(tiny_study, cohort, tmp_path, measured):
    return lambda workers: forecast_from(
        trial_of(tiny_study, cohort, tmp_path), measured, 2.0, (10.0, 5.0, 20.0), workers
    )


def test_the_parts_are_the_whole_and_workers_halve_only_what_is_parallel(whole, monkeypatch):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: range(8), raising=False)
    one, two = whole(1), whole(2)
    for found in (one, two):
        assert found.total == sum(found.parts.values(), Span())
        assert found.total.best <= found.total.most
        assert sum(found.by_strategy.values(), Span()).best == pytest.approx(found.parts["fits"].best)
        assert found.cells == len(found.by_kind) * 2
    assert one.parts["fits"].best == pytest.approx(2 * two.parts["fits"].best)
    # processes that read scans begin first
    assert one.parts["volumes"].best == pytest.approx(2 * (two.parts["volumes"].best - 2.0))
    assert one.parts["features"] == two.parts["features"]
    assert one.memory - one.shared_bytes == pytest.approx((two.memory - two.shared_bytes) / 2)
    assert (one.starting.best, two.starting.best) == (2.0, 4.0)


def test_a_machine_with_one_core_does_one_cell_at_a_time(whole, monkeypatch):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: range(1), raising=False)
    assert whole(4).parts["fits"] == whole(1).parts["fits"]


def test_every_part_is_what_was_measured_times_how_often_it_is_done(whole, cohort, measured):
    found = whole(1)
    assert found.starting.best == 2.0
    assert found.volumes.best == pytest.approx(0.5 * len(cohort))
    assert found.features.best == pytest.approx((0.1 + 0.2) * len(cohort))
    assert found.features.most == pytest.approx(MARGIN * found.features.best)
    assert found.by_kind["age", "linear", 10].best == pytest.approx(2 * 1.0)
    # two epochs of one setting on ten images, in two replicates
    assert found.by_kind["age", "baseline", 10].best == pytest.approx(2 * 2 * 10 * 0.01)
    assert found.shared_bytes == 2 * len(cohort) * 32 * 38 * 32 + (400 + 800) * len(cohort)


def test_only_what_a_run_folder_lacks_is_counted(tiny_study, cohort, tmp_path, measured):
    every = trial_of(tiny_study, cohort, tmp_path)
    some = replace(every, cells=every.cells[:3])
    sizes = (10.0, 5.0, 20.0)
    few = forecast_from(some, measured, 2.0, sizes, 1)
    assert few.cells == 3
    assert (
        sum(few.by_kind.values(), Span()).best
        < sum(forecast_from(every, measured, 2.0, sizes, 1).by_kind.values(), Span()).best
    )
    (every.run / "cache").mkdir(parents=True)
    (every.run / "cache" / "volumes.json").write_text("{}")
    (every.run / "cache" / "features-x.npy").write_bytes(b"123")
    resumed = forecast_from(every, measured, 2.0, sizes, 1)
    assert resumed.volumes == Span()
    # of two networks one has its features
    assert resumed.features.best == pytest.approx(0.1 * len(cohort))
    assert resumed.kept == 5
    assert resumed.disk_left.best == pytest.approx(resumed.disk_bytes.best - 5)


def test_cells_that_are_done_are_not_tried(tiny_study, cohort, tmp_path, monkeypatch):
    plan = make_plan(parse_study(tiny_study), cohort, {})
    tried = []
    monkeypatch.setattr(module, "_tried", lambda trial: tried.append(trial.cells) or (Measured(), 0.0))
    for cell in plan.cells[1:]:
        keep(tmp_path / "run", cell, {"setting": ["{}"]}, {"row": []})
    before = sorted(tmp_path.rglob("*"))
    found = forecast(plan.study, Path(), tmp_path / "run", plan, cohort, 1)
    assert tried == [plan.cells[:1]]
    assert found.cells == 1
    assert sorted(tmp_path.rglob("*")) == before
    keep(tmp_path / "run", plan.cells[0], {"setting": ["{}"]}, {"row": []})
    done = forecast(plan.study, Path(), tmp_path / "run", plan, cohort, 1)
    assert len(tried) == 1
    assert lines_of(done) == ["nothing is left to do"]


@pytest.mark.parametrize("error", [InterruptedError, KeyboardInterrupt, MemoryError])
def test_no_temporary_folder_stays(tiny_study, cohort, tmp_path, monkeypatch, error):
    plan = make_plan(parse_study(tiny_study), cohort, {})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def fails(trial):
        (trial.folder / "half").write_text("written")
        raise error

    monkeypatch.setattr(module, "_tried", fails)
    with pytest.raises(error):
        forecast(plan.study, Path(), tmp_path / "run", plan, cohort, 1)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "run").exists()


def test_a_trial_measures_every_strategy(tiny_study, cohort, tmp_path, engine):
    tiny_study["tasks"].pop("diagnosis")
    found = measure(trial_of(tiny_study, cohort, tmp_path))
    assert set(found.lines) == {"baseline", "multi-finetuned"}
    assert all(line.image > 0 and line.begun >= 0 and line.predicted > 0 for line in found.lines.values())
    exact = {"multi-frozen", "multi-transferred", *EXACT}
    assert {title for _, title, _ in found.cells} == exact
    assert {n for _, _, n in found.cells} == {10, 15}
    assert found.scan[""] > 0
    # transferred and frozen share a network
    assert len(found.features) == 4
    assert not (tmp_path / "run").exists()


def test_a_study_of_exact_strategies_on_columns_reads_no_scan(tiny_study, cohort, tmp_path, engine):
    table = cohort.table.assign(image="", mask="", volume=np.arange(len(cohort)) * 1.0)
    study = tiny_study | {"strategies": [{"strategy": "linear"}], "regional_columns": ["volume"], "models": {}}
    trial = trial_of(study, replace(cohort, table=table), tmp_path)
    found = measure(trial)
    assert (found.lines, found.scan, found.features) == ({}, {}, {})
    told = forecast_from(trial, found, 1.0, (10.0, 5.0, 20.0), 1)
    assert (told.volumes, told.features, told.pretraining, told.shared_bytes) == (Span(), Span(), Span(), 0.0)
    assert 0 < told.parts["fits"].best < 60


def test_a_network_on_columns_is_timed_without_a_scan(tiny_study, cohort, tmp_path, engine):
    table = cohort.table.assign(image="", mask="", volume=np.arange(len(cohort)) * 1.0)
    own = {"strategies": [{"strategy": "perceptron"}], "regional_columns": ["volume"], "models": {}}
    trial = trial_of(tiny_study | own, replace(cohort, table=table), tmp_path)
    found = measure(trial)
    assert (set(found.lines), found.scan, found.features) == ({"perceptron"}, {}, {})
    assert found.notes == []
    assert 0 < forecast_from(trial, found, 1.0, (10.0, 5.0, 20.0), 1).parts["fits"].best < 600


def test_a_model_that_is_to_be_pretrained_is_timed_untrained(tiny_study, tiny_cohort, cohort, tmp_path, engine):
    own = {"cohort": {"path": str(tiny_cohort)}, "targets": ["age", "sex"], "training": {"epochs": 7}}
    study = tiny_study | {"models": {"multi": own}, "strategies": [{"strategy": "transferred", "model": "multi"}]}
    trial = trial_of(study, cohort, tmp_path)
    found = measure(trial)
    assert found.epochs["multi"] > 0
    assert found.weights > 1000
    told = forecast_from(trial, found, 0.0, (10.0, 5.0, 20.0), 2)
    assert told.pretraining.best == pytest.approx(len(cohort) * found.scan["multi"] + 7 * found.epochs["multi"])
    assert told.disk["models"].best == found.weights


def test_the_command_says_what_a_run_will_take(tiny_cohort, tmp_path, called, monkeypatch):
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "small"\ncohort = {{ path = {json.dumps(str(tiny_cohort))} }}\n'
        'grid = { shape = [32, 38, 32], voxel_size_mm = 5.0526315789473681 }\n[tasks.age]\ntarget = "age"\n'
        '[[strategies]]\nstrategy = "voxels"\n[protocol]\nsizes = [10, 15]\nreplicates = 3\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "room_for", lambda folder: Room(1e6, 1e5))
    code, shown, said = called("benchmark", study, "--dry-run", "--workers", 2)
    assert code == 0
    assert "1 tasks, 6 cells, 54 fits; would write runs/small" in shown
    assert "on this machine with 2 workers: about" in shown
    assert "the fits by strategy: " in shown
    assert "GB for 2, and" in shown
    assert "2 workers need about" in said
    assert "of memory and 1.0 MB are free" in said
    assert "the run folder needs up to" in said
    assert not (tmp_path / "runs").exists()


def empty(**changes):
    none = Span()
    values = {
        "workers": 2, "cells": 5, "fits": 45, "starting": none, "volumes": Span(180.0, 200.0), "pretraining": none,
        "features": none, "by_kind": {("age", "baseline", 10): Span(3600.0, 7200.0)}, "parallel": 2,
        "worker_bytes": 9e8, "shared_bytes": 3e8, "disk": {"volumes": Span(4e8, 5e8)}, "room": Room(3e9, 1e9),
    }  # fmt: skip
    return Forecast(**(values | changes))


def test_the_words():
    assert lines_of(empty(), planned=6)[0] == "left to do: 5 cells, 45 fits"
    assert lines_of(empty(), planned=5) == [
        "on this machine with 2 workers: about 33 min (at most 63 min): volumes 3 min, fits 30 min",
        "the fits by strategy: baseline 30 min",
        "memory: about 0.9 GB a worker, 1.8 GB for 2, and 0.3 GB of volumes and features that workers of a machine share; "
        "disk: 0.4 GB (at most 0.5 GB)",
    ]
    assert "measured on this machine; those of slurm may be" in lines_of(empty(), "slurm")[0]
    assert "cannot be told" in lines_of(empty(worker_bytes=0.0))[2]
    assert " for 1" not in lines_of(empty(workers=1))[2]
    many = {("age", f"way {place}", 10): Span(10.0 * place, 20.0 * place) for place in range(1, 10)}
    assert lines_of(empty(by_kind=many))[1].endswith("way 4 20 s, 3 others 30 s")
    quick = {("age", "linear", 10): Span(0.2, 0.4), ("age", "baseline", 10): Span(60.0, 90.0)}
    assert lines_of(empty(by_kind=quick))[1] == "the fits by strategy: baseline 30 s, 1 other 0 s"
    assert lines_of(empty(by_kind={("age", "linear", 10): Span(0.2, 0.4)}))[1].endswith("all of them 0 s")


@pytest.mark.parametrize(
    ("room", "cluster", "said"),
    [
        (Room(3e9, 1e9), "", []),
        (Room(None, None), "", []),
        (Room(1.5e9, 1e9), "", ["--workers 1,"]),
        (Room(5e8, 1e9), "", ["give a coarser grid"]),
        (Room(5e8, 1e9), "slurm", []),
        (Room(5e8, 1e8), "", ["give a coarser grid", "needs up to 0.5 GB more and 0.1 GB are free"]),
    ],
)
def test_what_the_machine_lacks_is_said_with_what_to_change(room, cluster, said):
    found = warnings_of(empty(room=room), cluster)
    assert len(found) == len(said)
    assert all(text in line for text, line in zip(said, found, strict=True))


def test_what_went_wrong_is_said_and_another_study_refused(tiny_study, tmp_path):
    assert warnings_of(empty(notes=("baseline: a fit failed",)))[0] == "baseline: a fit failed"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="no run of ours"):
        benchmark(parse_study(tiny_study), tmp_path / "run", dry_run=True, measure=True)


@given(st.floats(0, 1e15), st.floats(0, 1e15))
def test_more_bytes_are_never_said_as_fewer(one, other):
    value = {"MB": 1e6, "GB": 1e9}
    amounts = [float(number) * value[unit] for number, unit in (in_bytes(x).split() for x in sorted((one, other)))]
    assert amounts[0] <= amounts[1]


@given(st.integers(10, 1000), st.floats(0.1, 3.0), st.floats(1e-4, 10.0))
def test_seconds_between_sizes_follow_a_power(n, power, scale):
    known = {size: scale * size**power for size in (10, 50, 200)}
    assert between(known, n) == pytest.approx(scale * n**power, rel=1e-6)


def test_seconds_that_fall_with_n_are_noise():
    assert between({10: 2.0, 20: 1.0}, 40) == 1.0
    assert between({}, 10) == 0.0


@pytest.mark.parametrize("budget", [5.0, 0.3])
def test_a_line_is_found_from_runs(monkeypatch, budget):
    from neurotransfer.benchmark import trial_fits

    clock, runs = [0.0], []

    def run(n, epochs, group):
        runs.append((n, epochs, group))
        clock[0] += group * (0.01 + epochs * (0.002 + 0.003 * n)) + (1.0 if len(runs) == 1 else 0.0)

    monkeypatch.setattr(trial_fits, "clock", lambda: clock[0])
    line, share = line_of(run, (10, 1000), 3, 8, budget)
    if budget > 1:
        assert (line.begun, line.epoch, line.image) == pytest.approx((0.01, 0.002, 0.003))
        assert share == 1.0
    assert clock[0] < 1.0 + 4 * budget
    assert max(n for n, _, _ in runs) < 1000


def test_a_fit_that_is_too_dear_is_told_from_four_images(monkeypatch):
    from neurotransfer.benchmark import trial_fits

    clock = [0.0]

    def run(n, epochs, group):
        clock[0] += 2.0 * n * epochs * group

    monkeypatch.setattr(trial_fits, "clock", lambda: clock[0])
    line, share = line_of(run, (100, 1000), 2, 8, 5.0)
    assert line == Line(image=2.0)
    assert share == 4 / 16
    assert clock[0] == 12.0
    # so dear that one try has to do
    line, share = line_of(run, (100, 1000), 2, 8, 3.0)
    assert (line, share, clock[0]) == (Line(image=2.0), 2 / 16, 16.0)


def test_stand_ins_are_arrays_of_all_rows():
    few = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    repeated, standing = Repeated(few, 10), Standing(few, 10, np.array([2, 2, 5]))
    assert repeated.shape == standing.shape == (10, 4)
    assert len(repeated) == len(standing) == 10
    np.testing.assert_array_equal(repeated[np.array([0, 4, 9])], few[[0, 1, 0]])
    np.testing.assert_array_equal(repeated[:2], few[:2])
    np.testing.assert_array_equal(standing[np.array([0, 4])], few[[0, 1]])
    # what is trained on differs from every other row
    assert not np.isclose(standing[np.array([2, 5])], few[2]).any()
    np.testing.assert_array_equal(standing[np.array([2])], standing[np.array([2])])


def test_bytes_of_cells_are_those_of_files(tmp_path):
    fit, prediction, waiting = bytes_of_cells(tmp_path)
    assert 50 < fit < 1000
    assert 10 < prediction < 100 < waiting < 2000
    values = _values(FIT_FIELDS, 3, np.random.default_rng(0))
    assert set(values) == set(FIT_FIELDS.names) - {"task", "n", "replicate", "strategy"}
    assert {len(column) for column in _values(PREDICTION_FIELDS, 3, np.random.default_rng(0)).values()} == {3}


def test_free_memory_is_no_more_than_the_group_allows(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 4000 kB\n")
    assert free_memory(tmp_path) == 4000 * 1024
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("100\n")
    (group / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == 4000 * 1024
    (group / "memory.max").write_text("3000\n")
    assert free_memory(tmp_path) == 2900
    assert room_for(tmp_path / "not" / "there").disk > 0


def test_the_peak_only_rises():
    before = peak_memory()
    block = np.ones(2**24)
    assert block.sum() == 2**24
    assert peak_memory() >= before > 2**20


@pytest.mark.slow
def test_a_forecast_is_near_what_a_run_takes(tiny_study, tmp_path):
    study = parse_study(tiny_study | {"protocol": {"sizes": [10, 20], "replicates": 8}, "training": {"epochs": 6}})
    found = benchmark(study, tmp_path / "run", dry_run=True, measure=True).forecast
    assert not (tmp_path / "run").exists()
    # of work and not of waiting: other programs may be busy too
    began = time.process_time()
    benchmark(study, tmp_path / "run")
    real = time.process_time() - began
    assert real / 3 < found.parts["fits"].best < real * 3
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert size / 2 < found.disk_bytes.best < size * 2
    done = benchmark(study, tmp_path / "run", dry_run=True, measure=True).forecast
    assert done.cells == 0

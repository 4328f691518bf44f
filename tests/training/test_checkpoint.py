"""Checkpoints: a fit goes on wherever it was stopped and ends with the same bits; what does not belong is refused."""

import copy
import os

import numpy as np
import pytest
import torch

from neurotransfer.errors import DivergedError, InputError, StorageError
from neurotransfer.models import SFCN
from neurotransfer.models.network import Network, seeded
from neurotransfer.targets import Target
from neurotransfer.training import Checkpoint, Engine, Examples, Recipe, fit, using
from neurotransfer.training.augment import preset

AGE, SEX = Target("age", "continuous"), Target("sex", "binary", classes=("F", "M"))
# everything that has a state: dropout, moments, moving average, learned weights, augmentation, parts of batches, the start
RECIPE = Recipe(epochs=4, batch_size=4, lr=1e-2, weight_decay=0.1, warm_up=0.5, micro_batch=2, ema=0.9, layer_decay=0.7,
                learned_weights=True, augmentation=preset("light"), patience=4, head_first=1, anchor=2.0)  # fmt: skip


class StoppedError(Exception):
    """As if the machine went away."""


def data(n=13, seed=0):
    generator = np.random.default_rng(seed)
    volumes = generator.random((n, 32, 32, 32), np.float32)
    labels = {"age": generator.normal(size=n), "sex": (generator.random(n) > 0.5).astype(float)}
    labels["sex"][::3] = np.nan
    return [Examples(volumes, rows, {name: values[rows] for name, values in labels.items()})
            for rows in (np.arange(10), np.arange(10, n))]  # fmt: skip


def network(seed=0, **arguments):
    with seeded(seed):
        return Network(SFCN(**({"width": 0.0625, "dropout": 0.3} | arguments)), [AGE, SEX])


def same(one, other):
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


class StopsAfter(Checkpoint):
    """A checkpoint after every step, and a fit that ends after some of them."""

    def __init__(self, path, saves):
        super().__init__(path, seconds=0.0)
        self.saves = saves

    def save(self, state, facts):
        super().save(state, facts)
        self.saves -= 1
        if not self.saves:
            raise StoppedError


@pytest.fixture(scope="module")
def whole():
    net = network()
    train, validation = data()
    history = fit(net, train, validation, RECIPE, seed=3)
    return net, history


@pytest.mark.parametrize("saves", [1, 2, 3, 4, 5, 8, 11])
def test_a_fit_goes_on_wherever_it_was_stopped_and_ends_with_the_same_bits(whole, saves, tmp_path):
    train, validation = data()
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=StopsAfter(path, saves))
    # other weights: they are those of the checkpoint at once
    net = network(seed=9)
    history = fit(net, train, validation, RECIPE, seed=3, checkpoint=Checkpoint(path))
    assert history.table == whole[1].table
    assert history.best_epoch == whole[1].best_epoch
    assert all(
        torch.equal(one, other)
        for one, other in zip(net.state_dict().values(), whole[0].state_dict().values(), strict=True)
    )


def test_a_fit_that_is_stopped_again_and_again_ends_with_the_same_bits(whole, tmp_path):
    train, validation = data()
    stops = 0
    while True:
        net = network()
        try:
            fit(net, train, validation, RECIPE, seed=3, checkpoint=StopsAfter(tmp_path / "checkpoint.pt", 2))
            break
        except StoppedError:
            stops += 1
    assert stops >= 5
    assert all(
        torch.equal(one, other)
        for one, other in zip(net.state_dict().values(), whole[0].state_dict().values(), strict=True)
    )


def test_a_finished_fit_is_not_trained_again(whole, tmp_path):
    train, validation = data()
    for seen in (4, 0):
        rows = []
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=Checkpoint(tmp_path / "c.pt"),
            on_epoch=lambda row, found, rows=rows: rows.append(row))  # fmt: skip
        assert len(rows) == seen


def test_columns_that_were_added_to_the_table_come_back(tmp_path):
    train, validation = data()
    path = tmp_path / "checkpoint.pt"

    def note(row, found):
        row["score"] = float(found["age"].mean())

    with pytest.raises(StoppedError):
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=StopsAfter(path, 7), on_epoch=note)
    history = fit(network(), train, validation, RECIPE, seed=3, checkpoint=Checkpoint(path), on_epoch=note)
    assert all("score" in row for row in history.table)


def changes():
    train, _ = data()
    fewer = Examples(train.inputs, train.rows[:8], {name: values[:8] for name, values in train.labels.items()})
    relabelled = Examples(train.inputs, train.rows, train.labels | {"age": train.labels["age"] + 1})
    return {
        r"epochs \(4 then, 5 now\), batch_size \(4 then, 8 now\)": {"recipe": Recipe(epochs=5)},
        "seed": {"seed": 4},
        "training images": {"train": fewer},
        "validation images": {"validation": data(14)[1]},
        "network": {"net": network(pooling="maximum", width=0.125)},
        "training images, relabelled": {"train": relabelled},
        "targets": {"net": Network(SFCN(width=0.0625), [AGE, Target("sex", "binary", classes=("M", "F"))])},
    }


@pytest.mark.parametrize("what", list(changes()))
def test_a_checkpoint_of_another_training_is_refused_with_what_differs(what, tmp_path):
    train, validation = data()
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=StopsAfter(path, 1))
    kept = path.read_bytes()
    given = {"net": network(), "train": train, "validation": validation, "recipe": RECIPE, "seed": 3} | changes()[what]
    with pytest.raises(InputError, match=f"of another training.*{what.removesuffix(', relabelled')}"):
        fit(
            given["net"],
            given["train"],
            given["validation"],
            given["recipe"],
            seed=given["seed"],
            checkpoint=Checkpoint(path),
        )
    assert path.read_bytes() == kept


def test_another_precision_is_another_training(tmp_path):
    train, validation = data()
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=StopsAfter(path, 1))
    with using(Engine(device="cpu", precision="bfloat16")), pytest.raises(InputError, match="precision"):
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=Checkpoint(path))


@pytest.mark.parametrize("damage", ["short", "empty", "noise", "middle"])
def test_a_damaged_checkpoint_is_refused_with_what_to_do(damage, tmp_path):
    train, validation = data()
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=StopsAfter(path, 1))
    whole = bytearray(path.read_bytes())
    if damage == "short":
        whole = whole[: len(whole) // 2]
    elif damage == "empty":
        whole = bytearray()
    elif damage == "noise":
        whole = bytearray(np.random.default_rng(0).bytes(5000))
    else:
        whole[: len(whole) // 2] = bytes(len(whole) // 2)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"is damaged.*remove it"):
        fit(network(), train, validation, RECIPE, seed=3, checkpoint=Checkpoint(path))


def test_a_checkpoint_runs_no_code(tmp_path):
    path, mark = tmp_path / "checkpoint.pt", tmp_path / "was-here"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    torch.save({"format": 1, "key": "", "facts": {}, "state": Evil()}, path)
    with pytest.raises(InputError, match="damaged"):
        Checkpoint(path).load({})
    assert not mark.exists()


def test_a_full_disk_keeps_the_one_before(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt")
    checkpoint.load({"seed": 1})
    checkpoint.save({"step": 1, "weights": torch.arange(5.0)}, {"seed": 1})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(StorageError, match="No space left"):
            checkpoint.save({"step": 2}, {"seed": 1})
    kept = Checkpoint(checkpoint.path).load({"seed": 1})
    assert kept["step"] == 1
    assert torch.equal(kept["weights"], torch.arange(5.0))
    assert list(tmp_path.iterdir()) == [checkpoint.path]


def test_it_is_due_when_its_seconds_have_passed(tmp_path):
    assert Checkpoint(tmp_path / "c.pt", seconds=0).due
    late = Checkpoint(tmp_path / "c.pt", seconds=1000)
    assert not late.due
    late._last -= 1001
    assert late.due
    late.load({})
    late.save({}, {})
    assert not late.due


def test_removing_is_for_those_that_are_there_and_those_that_are_not(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.pt")
    checkpoint.remove()
    checkpoint.load({})
    checkpoint.save({}, {})
    checkpoint.remove()
    assert checkpoint.load({}) is None


def test_a_loss_that_is_not_finite_leaves_the_checkpoint_of_the_last_good_epoch(tmp_path):
    train, validation = data()
    volumes = train.inputs.copy()
    path = tmp_path / "checkpoint.pt"

    def spoil(row, found):
        if row["epoch"] == 2:
            volumes[7] = np.nan

    broken = Examples(volumes, train.rows, train.labels, [f"sub-{place}" for place in range(13)])
    net = network()
    # dropout and batch norm spread a NaN over its batch, and nothing further
    with pytest.raises(DivergedError, match=r"epoch 3, step \d.*7 \(sub-7\).*the weights of epoch \d are kept"):
        fit(net, broken, Examples(volumes, validation.rows, validation.labels), RECIPE, seed=3, on_epoch=spoil,
            checkpoint=Checkpoint(path, seconds=1e9))  # fmt: skip
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())
    kept = torch.load(path, weights_only=True)["state"]
    assert kept["epoch"] == 3
    assert all(torch.isfinite(value).all() for value in kept["learners"][0]["network"].values())
    # with the scan mended it goes on from there
    volumes[7] = data()[0].inputs[7]
    mended = Examples(volumes, train.rows, train.labels)
    expected, found = network(), network()
    fit(expected, *data(), RECIPE, seed=3)
    fit(
        found,
        mended,
        Examples(volumes, validation.rows, validation.labels),
        RECIPE,
        seed=3,
        checkpoint=Checkpoint(path),
    )
    assert all(
        torch.equal(one, other)
        for one, other in zip(found.state_dict().values(), expected.state_dict().values(), strict=True)
    )


def test_what_was_kept_is_not_changed_by_what_follows(tmp_path):
    train, validation = data()
    checkpoint = Checkpoint(tmp_path / "c.pt")
    net = network()
    before = copy.deepcopy(net.state_dict())
    fit(net, train, validation, Recipe(epochs=1, lr=0.0), seed=3, checkpoint=checkpoint)
    for name, value in net.named_parameters():
        assert torch.equal(value, before[name])

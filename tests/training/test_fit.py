"""The loop: what moves and what must not, the best epoch, small batches, reproducibility."""

import copy
import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neurotransfer.errors import DivergedError, InputError, is_no_memory
from neurotransfer.models.network import Identity, Network, seeded
from neurotransfer.models.sfcn import SFCN
from neurotransfer.targets import Target
from neurotransfer.training import Examples, Recipe, features, fit, learner, predictions
from neurotransfer.training.augment import preset
from neurotransfer.training.examples import batches
from neurotransfer.training.optimiser import share_of_lr
from neurotransfer.training.settle import settle_batch_norm

AGE = Target("age", "continuous")
module = importlib.import_module("neurotransfer.training.fit")


def line(n=60, seed=0):
    """Features with a linear relation to a label."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(n, 5)).astype(np.float32)
    return inputs, (inputs @ np.array([1.0, -2, 0, 0.5, 0]) + 0.1 * generator.normal(size=n))


def examples(inputs, labels, rows):
    return Examples(inputs, np.asarray(rows), {"age": labels[rows]})


def heads(inputs, seed=0):
    with seeded(seed):
        return Network(Identity(inputs.shape[1]), [AGE])


def volumes(n=6, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.linspace(-1, 1, n)
    noise = generator.uniform(0, 1, (n, 32, 32, 32))
    return (noise * (0.5 + 0.4 * labels[:, None, None, None])).astype(np.float32), labels


def network(seed=0):
    with seeded(seed):
        return Network(SFCN(width=0.0625), [AGE])


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_linear_relation_is_learnt():
    inputs, labels = line()
    net = heads(inputs)
    history = fit(net, examples(inputs, labels, range(40)), examples(inputs, labels, range(40, 60)),
                  Recipe(epochs=80, lr=0.05, patience=80), seed=0)  # fmt: skip
    predicted = predictions(net, inputs, np.arange(40, 60))["age"][0]
    assert np.corrcoef(predicted, labels[40:])[0, 1] > 0.99
    assert history.best_loss < 0.05
    assert not net.training


def test_the_weights_kept_are_those_of_the_best_epoch():
    inputs, labels = line()
    net, check = heads(inputs), examples(inputs, labels, range(40, 60))
    history = fit(net, examples(inputs, labels, range(40)), check, Recipe(epochs=12, lr=0.5, patience=12), seed=1)
    losses = [row["validation_loss"] for row in history.table]
    assert history.best_loss == min(losses)
    assert history.best_epoch == int(np.argmin(losses)) + 1
    predicted = predictions(net, inputs, check.rows)["age"][0]
    assert np.mean((predicted - labels[40:]) ** 2) == pytest.approx(history.best_loss, rel=1e-5)


def test_patience_ends_the_training():
    inputs, labels = line()
    generator = np.random.default_rng(3)
    noise = generator.normal(size=len(labels))
    history = fit(heads(inputs), examples(inputs, noise, range(40)), examples(inputs, -noise, range(40, 60)),
                  Recipe(epochs=200, lr=0.1, patience=4), seed=0)  # fmt: skip
    assert history.epochs < 200
    assert history.epochs - history.best_epoch == 4


def test_training_everything_moves_weights_and_statistics():
    inputs, labels = volumes()
    net = network()
    before = state(net.encoder)
    fit(net, examples(inputs, labels, range(4)), examples(inputs, labels, [4, 5]), Recipe(epochs=2), seed=0)
    after = state(net.encoder)
    assert not torch.equal(before["blocks.0.0.weight"], after["blocks.0.0.weight"])
    assert not torch.equal(before["blocks.0.1.running_mean"], after["blocks.0.1.running_mean"])


@pytest.mark.parametrize(("n", "batch_size"), [(1, 8), (2, 8), (3, 2), (5, 4), (9, 8), (4, 1)])
def test_short_and_single_batches_do_not_crash(n, batch_size):
    inputs, labels = volumes(n + 2)
    net = network()
    history = fit(net, examples(inputs, labels, range(n)), examples(inputs, labels, [n, n + 1]),
                  Recipe(epochs=2, batch_size=batch_size), seed=0)  # fmt: skip
    assert np.isfinite(history.best_loss)
    assert all(torch.isfinite(value.float()).all() for value in net.state_dict().values())


def test_predictions_do_not_depend_on_batch_mates():
    inputs, labels = volumes()
    net = network()
    fit(net, examples(inputs, labels, range(4)), examples(inputs, labels, [4, 5]), Recipe(epochs=1), seed=0)
    together = predictions(net, inputs, np.arange(6))["age"][0]
    alone = np.concatenate([predictions(net, inputs, np.array([row]))["age"][0] for row in range(6)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_validation_people_do_not_reach_weights_or_statistics():
    """Only the choice of the epoch may depend on them: with one epoch, nothing does."""
    inputs, labels = volumes(8)
    nets = [network(), network()]
    for net, rows in zip(nets, ([4, 5], [6, 7]), strict=True):
        fit(net, examples(inputs, labels, range(4)), examples(inputs, labels, rows), Recipe(epochs=1), seed=0)
    assert same(state(nets[0]), state(nets[1]))


@given(n=st.integers(1, 200), batch_size=st.integers(1, 50), seed=st.integers(0, 5))
def test_batches_are_a_partition_without_lonely_examples(n, batch_size, seed):
    parts = batches(n, batch_size, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts)) == list(range(n))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    if n >= 2 and batch_size >= 2:
        assert min(sizes) >= 2
    assert max(sizes) <= max(batch_size, 3)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    inputs, labels = volumes()
    nets = [network() for _ in range(3)]
    torch.manual_seed(7)
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        torch.rand(3)
        fit(
            net,
            examples(inputs, labels, range(4)),
            examples(inputs, labels, [4, 5]),
            Recipe(epochs=2, batch_size=2),
            seed=seed,
        )
    assert same(state(nets[0]), state(nets[1]))
    assert not same(state(nets[0]), state(nets[2]))


def test_the_caller_s_random_state_is_left_alone():
    inputs, labels = line()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(
        heads(inputs),
        examples(inputs, labels, range(40)),
        examples(inputs, labels, range(40, 60)),
        Recipe(epochs=2),
        seed=0,
    )
    assert torch.equal(before, torch.get_rng_state())


def test_the_inputs_are_not_changed():
    inputs, labels = volumes()
    kept = inputs.copy(), labels.copy()
    fit(network(), examples(inputs, labels, range(4)), examples(inputs, labels, [4, 5]), Recipe(epochs=1), seed=0)
    np.testing.assert_array_equal(inputs, kept[0])
    np.testing.assert_array_equal(labels, kept[1])


def test_a_loss_that_is_never_finite_is_an_error():
    inputs, labels = line()
    broken = np.full_like(inputs, np.nan)
    with pytest.raises(FloatingPointError, match="smaller lr"):
        fit(
            heads(inputs),
            examples(broken, labels, range(40)),
            examples(broken, labels, range(40, 60)),
            Recipe(epochs=2),
            seed=0,
        )


def test_a_batch_without_a_label_is_passed_over():
    inputs, labels = line()
    unknown = np.full_like(labels, np.nan)
    unknown[:3] = labels[:3]
    net = heads(inputs)
    fit(
        net,
        examples(inputs, unknown, range(40)),
        examples(inputs, labels, range(40, 60)),
        Recipe(epochs=2, batch_size=2),
        seed=0,
    )
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())


def test_golden_losses():
    inputs, labels = line(24)
    history = fit(heads(inputs), examples(inputs, labels, range(16)), examples(inputs, labels, range(16, 24)),
                  Recipe(epochs=4, lr=0.1, batch_size=4), seed=0)  # fmt: skip
    np.testing.assert_allclose([row["validation_loss"] for row in history.table], GOLDEN, rtol=1e-4)


GOLDEN = [3.632437, 2.871021, 2.465090, 2.406237]


def test_settled_statistics_are_means_over_the_batches_of_the_training_images():
    inputs, labels = volumes(8)
    net = network()
    settle_batch_norm(net, examples(inputs, labels, range(8)), batch_size=8)
    first = net.encoder.blocks[0]
    maps = first[0](torch.from_numpy(inputs)[:, None])
    torch.testing.assert_close(first[1].running_mean, maps.mean((0, 2, 3, 4)), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(first[1].running_var, maps.var((0, 2, 3, 4)), rtol=1e-3, atol=1e-5)
    assert all(module.momentum == 0.1 for module in net.modules() if isinstance(module, nn.BatchNorm3d))


@pytest.mark.parametrize(
    ("values", "said"),
    [({"epochs": 0}, "epochs is"), ({"lr": -1.0}, "lr"), ({"lr": float("nan")}, "lr"), ({"batch_size": 0}, "batch_size"),
     ({"patience": 0}, "patience"), ({"weight_decay": float("inf")}, "weight_decay")],
)  # fmt: skip
def test_recipes_that_cannot_be(values, said):
    with pytest.raises(InputError, match=said):
        Recipe(**values)


def test_nothing_to_learn_from():
    inputs, labels = line()
    some, none = examples(inputs, labels, range(4)), examples(inputs, labels, np.array([], int))
    with pytest.raises(InputError, match="needs examples"):
        fit(heads(inputs), none, some, Recipe(), seed=0)
    with pytest.raises(InputError, match="needs examples"):
        fit(heads(inputs), some, none, Recipe(), seed=0)


def test_features_are_those_of_the_encoder_in_evaluation_mode():
    inputs, _ = volumes()
    net = network()
    net.train()
    found = features(net.encoder, inputs, np.array([5, 0]))
    assert net.training
    reference = copy.deepcopy(net.encoder).eval()
    with torch.no_grad():
        expected = reference(torch.from_numpy(inputs[[5, 0]])[:, None])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert features(net.encoder, inputs, np.array([], int)).shape == (0, net.encoder.n_features)


class Small(nn.Module):
    """An encoder on a machine on which only some volumes at a time have room."""

    n_features = 3

    def __init__(self, most, message="DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"):
        super().__init__()
        self.most, self.message, self.seen = most, message, []
        self.layer = nn.Linear(4**3, 3)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, given):
        if self.training and len(given) > self.most:
            raise RuntimeError(self.message)
        self.seen.append(len(given))
        return self.norm(self.layer(given.flatten(1)))


def little(most, n=12, **more):
    with seeded(0):
        net = Network(Small(most, **more), [AGE])
    generator = np.random.default_rng(0)
    return net, generator.random((n, 4, 4, 4)).astype(np.float32), generator.normal(size=n)


@pytest.mark.parametrize(("most", "left"), [(8, 8), (7, 4), (4, 4), (3, 2), (2, 2)])
def test_too_little_memory_halves_the_batch_until_it_fits_and_says_so(most, left):
    net, inputs, labels = little(most)
    history = fit(net, examples(inputs, labels, range(8)), examples(inputs, labels, range(8, 12)),
                  Recipe(epochs=2, batch_size=8), seed=0)  # fmt: skip
    said = [note for note in history.notes if "need more memory than cpu has" in note]
    assert len(said) == len(history.notes) == {8: 0, 4: 1, 2: 2}[left]
    if said:
        assert f"{left} are taken at once" in said[-1]
        assert "(4, 4, 4)" in said[-1]
        assert "batches of 8" in said[-1]
    assert np.isfinite(history.best_loss)


def test_parts_of_a_batch_have_the_gradient_of_the_whole():
    """Without batch norm, which sees only a part."""
    inputs, labels = line()
    labels[::3] = np.nan
    found = []
    for micro in (0, 1, 3, 8):
        net = heads(inputs)
        history = fit(net, examples(inputs, labels, range(40)), examples(inputs, labels, range(40, 60)),
                      Recipe(epochs=3, batch_size=8, lr=0.05, micro_batch=micro), seed=0)  # fmt: skip
        found.append((state(net), [row["train_loss"] for row in history.table]))
    for weights, losses in found[1:]:
        np.testing.assert_allclose(losses, found[0][1], rtol=1e-5)
        torch.testing.assert_close(weights, found[0][0], rtol=1e-4, atol=1e-6)


def test_no_room_for_one_image_is_an_error_that_says_what_to_do():
    net, inputs, labels = little(0)
    with pytest.raises(MemoryError, match=r"one image of \(4, 4, 4\).*coarser grid"):
        fit(net, examples(inputs, labels, range(8)), examples(inputs, labels, range(8, 12)), Recipe(epochs=1), seed=0)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    net, inputs, labels = little(0, message="mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        fit(net, examples(inputs, labels, range(8)), examples(inputs, labels, range(8, 12)), Recipe(epochs=1), seed=0)


def test_what_torch_says_when_memory_is_short_is_known():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**55, dtype=torch.uint8)
    assert is_no_memory(error.value)


def test_a_scan_that_breaks_the_loss_is_named():
    inputs, labels = line()
    inputs[17, 2] = np.inf
    given = Examples(inputs, np.arange(40), {"age": labels[:40]}, [f"sub-{row}" for row in range(60)])
    with pytest.raises(DivergedError, match=r"epoch 1, step \d.*17 \(sub-17\).*look at these images"):
        fit(heads(inputs), given, examples(inputs, labels, range(40, 60)), Recipe(epochs=2), seed=0)


def test_a_moving_average_is_what_is_validated_and_kept():
    inputs, labels = line()
    nets = [heads(inputs) for _ in range(2)]
    rows = []
    for net, ema in zip(nets, (0.0, 0.999), strict=True):
        history = fit(net, examples(inputs, labels, range(40)), examples(inputs, labels, range(40, 60)),
                      Recipe(epochs=3, lr=0.1, ema=ema), seed=0)  # fmt: skip
        rows.append(history.table)
        predicted = predictions(net, inputs, np.arange(40, 60))["age"][0]
        assert np.mean((predicted - labels[40:]) ** 2) == pytest.approx(history.best_loss, rel=1e-5)
    assert [row["train_loss"] for row in rows[0]] == pytest.approx([row["train_loss"] for row in rows[1]])
    assert rows[0][0]["validation_loss"] != rows[1][0]["validation_loss"]


def test_learned_weights_let_a_target_that_is_noise_fade():
    inputs, labels = line(200)
    noise = np.random.default_rng(9).normal(size=200) * 5
    targets = [AGE, Target("noise", "continuous")]
    with seeded(0):
        net = Network(Identity(5), targets)
    parts = [
        Examples(inputs, rows, {"age": labels[rows], "noise": noise[rows]})
        for rows in (np.arange(150), np.arange(150, 200))
    ]
    history = fit(net, *parts, Recipe(epochs=40, lr=0.02, learned_weights=True, patience=40), seed=0)
    predicted = predictions(net, inputs, np.arange(150, 200))["age"][0]
    assert np.corrcoef(predicted, labels[150:])[0, 1] > 0.99
    # half a loss and a log variance: with its best one a target's share of the training loss can be negative
    assert history.table[-1]["train_loss"] < history.table[0]["train_loss"]


def test_heads_learn_first_and_the_encoder_after_them():
    inputs, labels = volumes(8)
    net, seen = network(), []
    began = state(net)

    def note(row, _):
        seen.append((state(net.encoder), state(net.heads)))

    recipe = Recipe(epochs=3, batch_size=4, lr=1e-2, head_first=2, weight_decay=0.5)
    fit(net, examples(inputs, labels, range(6)), examples(inputs, labels, range(6, 8)), recipe, seed=0, on_epoch=note)
    weights = [name for name, _ in net.encoder.named_parameters()]
    for place, moved in ((0, False), (1, False), (2, True)):
        encoder, heads_then = seen[place]
        before = {name: began[f"encoder.{name}"] for name in weights}
        assert all(torch.equal(encoder[name], before[name]) for name in weights) != moved
        assert not torch.equal(heads_then["age.weight"], began["heads.age.weight"])
    assert not torch.equal(seen[0][1]["age.weight"], seen[1][1]["age.weight"])


def test_the_encoder_starts_its_moments_after_the_heads():
    """What comes after the heads is a fit of its own: AdamW knows nothing of the encoder's earlier gradients."""
    inputs, labels = volumes(8)
    net = network()
    parts = examples(inputs, labels, range(6)), examples(inputs, labels, range(6, 8))
    training = module.Training([net], *parts, [Recipe(epochs=3, batch_size=3, lr=1e-2, head_first=1)], seed=0)
    optimiser, value = training.learners[0].optimiser, net.encoder.blocks[0][0].weight
    training.until(1)
    assert value not in optimiser.state
    assert optimiser.state[net.head("age").weight]["step"] == 2
    training.until(2)
    assert optimiser.state[value]["step"] == 2


def test_patience_counts_from_where_everything_learns():
    inputs, labels = line()
    parts = [examples(inputs, labels, rows) for rows in (range(40), range(40, 60))]
    for head_first, epochs in ((0, 3), (1, 3), (5, 7)):
        # nothing moves, so that the first epoch stays the best
        history = fit(heads(inputs), *parts, Recipe(epochs=20, lr=0.0, patience=2, head_first=head_first), seed=0)
        assert (history.best_epoch, history.epochs) == (1, epochs)


def test_an_anchor_is_a_share_of_the_way_back_before_each_step():
    """One step by hand: AdamW's from where the pull leaves the weights, at the gradient of where they were."""
    inputs, labels = volumes(4)
    free, held = network(), network()
    parts = examples(inputs, labels, range(4)), None
    fit(free, *parts, Recipe(epochs=1, batch_size=4, lr=1e-2), seed=0)
    fit(held, *parts, Recipe(epochs=1, batch_size=4, lr=1e-2, anchor=7.0), seed=0)
    # at the start there is nothing to pull at
    assert same(state(free), state(held))
    twice = [network() for _ in range(3)]
    for net, anchor in zip(twice, (0.0, 7.0, 0.5 / 1e-2), strict=True):
        recipe = Recipe(epochs=2, batch_size=4, lr=1e-2, anchor=anchor, patience=2)
        fit(net, *parts, recipe, seed=0)
    began = network().encoder.blocks[0][0].weight
    loose, firm, firmer = [(net.encoder.blocks[0][0].weight - began).norm() for net in twice]
    assert firmer < firm < loose


def test_unsettled_statistics_are_the_moving_average_of_the_steps():
    inputs, labels = volumes(9)
    moved, settled = network(), network()
    parts = examples(inputs, labels, range(6)), examples(inputs, labels, range(6, 9))
    recipe = Recipe(epochs=1, batch_size=3, lr=1e-9)
    fit(settled, *parts, recipe, seed=0)
    fit(moved, *parts, replace(recipe, settle=False), seed=0)
    norm, other = moved.encoder.blocks[0][1], settled.encoder.blocks[0][1]
    # two steps of momentum 0.1 from mean 0 and variance 1; the weights have not moved to speak of
    assert norm.num_batches_tracked == 2
    torch.testing.assert_close(norm.running_mean, (1 - 0.9**2) * other.running_mean, rtol=0.2, atol=0.02)
    assert not torch.equal(norm.running_var, other.running_var)
    torch.testing.assert_close(
        moved.encoder.blocks[0][0].weight, settled.encoder.blocks[0][0].weight, rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("head_first", [0, 3])
def test_without_early_stopping_every_epoch_is_run_and_the_last_one_kept(head_first):
    inputs, labels = line()
    # the more is learnt, the worse are validation labels of the other sign
    train, check = examples(inputs, labels, range(40)), examples(inputs, -labels, range(40, 60))
    recipe = Recipe(epochs=12, lr=0.05, patience=1, head_first=head_first)
    stopped, whole, blind = heads(inputs), heads(inputs), heads(inputs)
    early = fit(stopped, train, check, recipe, seed=1)
    history = fit(whole, train, check, replace(recipe, early_stopping=False), seed=1)
    assert early.epochs < history.epochs == history.best_epoch == 12
    losses = [row["validation_loss"] for row in history.table]
    assert losses[: early.epochs] == [row["validation_loss"] for row in early.table]
    assert history.best_loss == losses[-1] > min(losses)
    # as if there were no validation at all
    fit(blind, train, None, recipe, seed=1)
    assert same(state(whole), state(blind))


def test_without_early_stopping_weights_whose_validation_loss_is_not_finite_are_not_kept(monkeypatch):
    inputs, labels = line()
    train, check = examples(inputs, labels, range(40)), examples(inputs, labels, range(40, 60))
    given = iter([1.0, 2.0, float("nan")])
    monkeypatch.setattr(learner.Learner, "_validated", lambda *_: {"validation_loss": next(given)})
    history = fit(heads(inputs), train, check, Recipe(epochs=3, early_stopping=False, patience=1), seed=0)
    assert (history.epochs, history.best_epoch, history.best_loss) == (3, 2, 2.0)


def test_targets_that_have_a_side_are_never_mirrored(monkeypatch):
    inputs, labels = volumes(8)
    drawn = []
    original = module.sample
    monkeypatch.setattr(
        module, "sample", lambda augmentation, *rest: drawn.append(augmentation) or original(augmentation, *rest)
    )
    for name in ("handedness", "age"):
        target = Target(name, "continuous")
        with seeded(0):
            net = Network(SFCN(width=0.0625), [target])
        parts = [Examples(inputs, np.array(rows), {name: labels[list(rows)]}) for rows in (range(4), range(4, 8))]
        fit(net, *parts, Recipe(epochs=1, augmentation=preset("standard")), seed=0)
    assert drawn[0] == preset("standard").without_flip()
    assert drawn[-1] == preset("standard")


def test_time_is_counted():
    inputs, labels = volumes(8)
    history = fit(
        network(), examples(inputs, labels, range(4)), examples(inputs, labels, range(4, 8)), Recipe(epochs=2), seed=0
    )
    assert history.seconds > history.training > history.waiting >= 0


@pytest.mark.parametrize("warm_up", [0.0, 1.0])
def test_every_step_has_the_rate_of_its_place(monkeypatch, warm_up):
    inputs, labels = line()
    seen = []
    monkeypatch.setattr(learner, "set_lr", lambda optimiser, share: seen.append(share))
    recipe = Recipe(epochs=3, batch_size=8, warm_up=warm_up, patience=3)
    fit(heads(inputs), examples(inputs, labels, range(40)), examples(inputs, labels, range(40, 60)), recipe, seed=0)
    assert seen == [share_of_lr(step, 5, recipe) for step in range(15)]


def test_a_store_feeds_a_fit_as_an_array_does():
    class Rows:
        """Volumes that are read by rows alone, as those of a store."""

        shape, ndim = (6, 32, 32, 32), 4

        def __init__(self, values):
            self.values = values

        def __len__(self):
            return len(self.values)

        def __getitem__(self, rows):
            return self.values[rows]

    inputs, labels = volumes()
    nets = [network(), network()]
    for net, source in zip(nets, (inputs, Rows(inputs)), strict=True):
        fit(net, examples(source, labels, range(4)), examples(source, labels, [4, 5]), Recipe(epochs=1), seed=0)
    assert same(state(nets[0]), state(nets[1]))

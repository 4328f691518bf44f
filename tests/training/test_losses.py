"""Every loss against an independent formula; a missing label contributes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from neurotransfer.errors import InputError
from neurotransfer.targets import KINDS, Target
from neurotransfer.training import LOSSES, masked_loss
from neurotransfer.training.losses import target_losses

TARGETS = {
    "continuous": Target("t", "continuous", location=50.0, scale=10.0),
    "binary": Target("t", "binary", classes=("a", "b")),
    "categorical": Target("t", "categorical", classes=("a", "b", "c")),
    "ordinal": Target("t", "ordinal", classes=("1", "2", "3", "4")),
}


def some(kind, n, seed=0):
    generator = np.random.default_rng(seed)
    target = TARGETS[kind]
    outputs = torch.tensor(generator.normal(size=(n, target.n_outputs)), requires_grad=True)
    levels = {"continuous": 0, "binary": 2, "categorical": 3, "ordinal": 4}[kind]
    labels = generator.integers(levels, size=n) if levels else generator.normal(50, 10, n)
    return target, outputs, torch.tensor(np.asarray(labels, float))


def test_every_kind_has_a_loss_and_a_case():
    assert set(LOSSES) == set(KINDS) == set(TARGETS)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def expected(kind, outputs, labels):
    if kind == "continuous":
        return np.mean((outputs[:, 0] - (labels - 50) / 10) ** 2)
    if kind == "binary":
        return log_loss(labels, sigmoid(outputs[:, 0]), labels=[0, 1])
    if kind == "categorical":
        exponentials = np.exp(outputs)
        return log_loss(labels, exponentials / exponentials.sum(1, keepdims=True), labels=[0, 1, 2])
    return np.mean([log_loss(labels > level, sigmoid(outputs[:, level]), labels=[False, True]) for level in range(3)])


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_their_formulas(kind):
    target, outputs, labels = some(kind, 40)
    loss, parts = masked_loss({"t": outputs}, {"t": labels}, {"t": target})
    assert float(loss.detach()) == pytest.approx(expected(kind, outputs.detach().numpy(), labels.numpy()), rel=1e-6)
    assert parts["t"] == pytest.approx(float(loss.detach()))


@pytest.mark.parametrize("kind", KINDS)
@given(missing=st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_missing_label_contributes_nothing_to_loss_or_gradient(kind, missing):
    target, outputs, labels = some(kind, 12)
    is_missing = torch.tensor(missing)
    masked = torch.where(is_missing, torch.nan, labels)
    loss, _ = masked_loss({"t": outputs}, {"t": masked}, {"t": target})
    if all(missing):
        assert float(loss) == 0
        assert not loss.requires_grad
        return
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert torch.isfinite(gradient).all()
    assert (gradient[is_missing] == 0).all()
    dropped = outputs.detach()[~is_missing].requires_grad_(True)
    alone, _ = masked_loss({"t": dropped}, {"t": labels[~is_missing]}, {"t": target})
    (alone_gradient,) = torch.autograd.grad(alone, dropped)
    assert float(loss.detach()) == pytest.approx(float(alone.detach()), rel=1e-9)
    torch.testing.assert_close(gradient[~is_missing], alone_gradient)


def test_a_target_that_is_missing_for_all_leaves_its_head_alone():
    features = torch.randn(6, 4)
    heads = {name: torch.nn.Linear(4, 1) for name in ("age", "sex")}
    targets = {"age": Target("age", "continuous"), "sex": Target("sex", "binary", classes=("F", "M"))}
    labels = {"age": torch.full((6,), torch.nan), "sex": torch.tensor([0.0, 1, 0, 1, 1, torch.nan])}
    loss, parts = masked_loss({name: head(features) for name, head in heads.items()}, labels, targets)
    loss.backward()
    assert heads["age"].weight.grad is None or not heads["age"].weight.grad.any()
    assert heads["sex"].weight.grad.abs().sum() > 0
    assert set(parts) == {"sex"}


def test_the_joint_loss_is_the_weighted_sum():
    outputs = {"a": torch.ones(4, 1), "b": torch.zeros(4, 1)}
    labels = {"a": torch.zeros(4), "b": torch.full((4,), 3.0)}
    targets = {"a": Target("a", "continuous", weight=2.0), "b": Target("b", "continuous", weight=0.5)}
    loss, parts = masked_loss(outputs, labels, targets)
    assert parts == {"a": 1.0, "b": 9.0}
    assert float(loss) == pytest.approx(2 * 1 + 0.5 * 9)


@pytest.mark.parametrize("reading", ["bins", "ranks"])
def test_heads_that_others_trained_over_bins_are_not_trained(reading):
    age = Target("age", "continuous", reading=reading, levels=(40.0, 41.0, 42.0))
    with pytest.raises(
        InputError, match=f"a head that is read by {reading} is not trained here; give target 'age' a new head"
    ):
        target_losses({"age": torch.zeros(2, age.n_outputs)}, {"age": torch.tensor([40.0, 41.0])}, {"age": age})

"""Blends of predictors: losses against independent ones, weights worked by hand, and what no evidence gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import kl_div
from sklearn.metrics import log_loss

from neurotransfer.errors import InputError
from neurotransfer.seeding import stream
from neurotransfer.statistics.stacking import MOST_WEIGHT, TEMPER, likelihood_weights, row_losses, stack
from neurotransfer.targets import Target

AGE = Target("age", "continuous", location=50.0, scale=10.0)
SEX = Target("sex", "binary", classes=("F", "M"))
GROUP = Target("group", "categorical", classes=("a", "b", "c"))
LEVEL = Target("level", "ordinal", classes=("0", "1", "2"))
TARGETS = {target.kind: target for target in (AGE, SEX, GROUP, LEVEL)}


def labels_of(target, generator, n=40):
    if target.kind == "continuous":
        return generator.normal(50, 10, n)
    return generator.integers(0, len(target.classes), n).astype(float)


def some(target, seed=0, n=40, k=3):
    generator = stream(seed, "stacking", target.name)
    return generator.normal(size=(k, n, target.n_outputs)), labels_of(target, generator, n)


@pytest.mark.parametrize("kind", ["binary", "categorical"])
def test_losses_of_classes_are_the_log_losses_of_their_probabilities(kind):
    target = TARGETS[kind]
    outputs, labels = some(target)
    for own in outputs:
        probabilities = target.decode(own)[1]
        expected = log_loss(labels, probabilities, labels=range(len(target.classes)))
        assert row_losses(target, own, labels).mean() == pytest.approx(expected)


def test_the_loss_of_a_value_is_its_squared_error_in_standard_deviations():
    outputs, labels = some(AGE)
    value = AGE.decode(outputs[0])[0]
    np.testing.assert_allclose(row_losses(AGE, outputs[0], labels), ((value - labels) / 10) ** 2)


def test_the_loss_of_levels_is_the_mean_of_that_of_both_questions():
    outputs, labels = some(LEVEL)
    questions = [row_losses(SEX, outputs[0][:, [level]], (labels > level).astype(float)) for level in (0, 1)]
    np.testing.assert_allclose(row_losses(LEVEL, outputs[0], labels), np.mean(questions, axis=0))


@pytest.mark.parametrize("kind", TARGETS)
def test_losses_of_many_predictors_are_those_of_each(kind):
    target = TARGETS[kind]
    outputs, labels = some(target)
    together = row_losses(target, outputs, labels)
    assert together.shape == (3, 40)
    for own, expected in zip(outputs, together, strict=True):
        np.testing.assert_allclose(row_losses(target, own, labels), expected)


def test_likelihood_weights_by_hand():
    found = likelihood_weights(SEX, np.array([0.7, 0.5]), 10)
    ratio = np.exp(TEMPER * 10 * 0.2)
    np.testing.assert_allclose(found, [1 / (1 + ratio), ratio / (1 + ratio)])
    # of a value: normal errors whose variance is the least loss, or a given one
    ratio = np.exp(TEMPER * 10 * 0.2 / (2 * 0.5))
    np.testing.assert_allclose(
        likelihood_weights(AGE, np.array([0.7, 0.5]), 10), [1 / (1 + ratio), ratio / (1 + ratio)]
    )
    ratio = np.exp(TEMPER * 10 * 0.2 / (2 * 2.0))
    found = likelihood_weights(AGE, np.array([0.7, 0.5]), 10, variance=2.0)
    np.testing.assert_allclose(found, [1 / (1 + ratio), ratio / (1 + ratio)])


def test_who_failed_has_no_weight_and_nobody_is_an_error():
    found = likelihood_weights(SEX, np.array([np.inf, 0.6, np.nan]), 50)
    np.testing.assert_array_equal(found, [0, 1, 0])
    with pytest.raises(InputError, match="no predictor has a finite loss"):
        likelihood_weights(SEX, np.array([np.nan, np.inf]), 50)
    # a fit without any error is no division by zero
    np.testing.assert_allclose(likelihood_weights(AGE, np.array([0.0, 1.0]), 5), [1, 0])


@given(
    st.lists(st.floats(0.01, 3), min_size=1, max_size=6),
    st.floats(1, 500),
    st.floats(-0.005, 2),
    st.sampled_from(["continuous", "binary"]),
)
def test_likelihood_weights_are_shares_in_the_order_of_the_losses(losses, n, moved, kind):
    losses = np.array(losses)
    found = likelihood_weights(TARGETS[kind], losses, n, variance=1.0)
    assert found.sum() == pytest.approx(1)
    assert (np.diff(found[np.argsort(losses, kind="stable")]) <= 1e-12).all()
    # what all have in common tells nothing
    np.testing.assert_allclose(likelihood_weights(TARGETS[kind], losses + moved, n, variance=1.0), found, atol=1e-9)


VALUE = Target("y", "continuous")


def test_two_that_err_in_opposite_directions_share():
    labels = np.array([1.0, -1.0, 1.0, -1.0])
    noise = np.array([1.0, 1.0, -1.0, -1.0])
    outputs = np.stack([labels + noise, labels - noise])[..., None]
    np.testing.assert_allclose(stack(VALUE, outputs, labels, np.full(2, 1 / 3), 1e-7), [0.5, 0.5], atol=1e-3)


def test_what_two_see_of_two_things_adds_up():
    first, second = np.array([1.0, 1.0, -1.0, -1.0]), np.array([1.0, -1.0, 1.0, -1.0])
    outputs = np.stack([first, second])[..., None]
    for base in (0.0, 7.0):
        found = stack(VALUE, outputs + base, first + 0.5 * second + base, np.full(2, 0.5), 1e-8, base)
        np.testing.assert_allclose(found, [1, 0.5], atol=1e-4)


def test_who_errs_in_the_wrong_direction_goes_and_who_says_nothing_keeps_the_prior():
    labels = np.array([1.0, -1.0, 1.0, -1.0])
    outputs = np.stack([-labels, np.full(4, 3.0)])[..., None]
    found = stack(VALUE, outputs, labels + 3, np.full(2, 0.5), 1e-4, np.full((4, 1), 3.0))
    assert found.tolist() == pytest.approx([0, 0.5], abs=1e-5)


def test_a_head_that_was_shrunk_is_stretched_but_not_beyond_a_limit():
    labels = np.array([1.0, -1.0, 1.0, -1.0])
    for size, expected in ((0.5, 2.0), (0.1, MOST_WEIGHT)):
        outputs = size * labels[None, :, None]
        assert stack(VALUE, outputs, labels, np.ones(1), 1e-9)[0] == pytest.approx(expected, abs=1e-4)


def test_an_absurd_predictor_does_not_move_the_others():
    outputs, labels = some(VALUE)
    outputs[0] += 0.5 * labels[:, None]
    absurd = np.concatenate([outputs, 1e5 * stream(2, "absurd").normal(size=(1, 40, 1))])
    alone = stack(VALUE, outputs, labels, np.full(3, 0.25), 0.05)
    np.testing.assert_allclose(stack(VALUE, absurd, labels, np.full(4, 0.25), 0.05), [*alone, 0], atol=0.02)


def test_the_weight_of_a_predictor_by_the_formula():
    """With labels y and outputs y + noise, the loss is w^2 s + (1 - w)^2 v, least at w = v / (v + s)."""
    labels = np.repeat([1.0, -1.0], 8)
    noise = np.tile([0.5, -0.5], 8)
    found = stack(VALUE, (labels + noise)[None, :, None], labels, np.full(1, 0.5), 1e-8)
    np.testing.assert_allclose(found, [1 / 1.25], atol=1e-4)


@pytest.mark.parametrize("kind", TARGETS)
def test_the_weights_are_those_that_an_independent_search_finds(kind):
    target = TARGETS[kind]
    outputs, labels = some(target)
    base = stream(1, "base").normal(size=outputs.shape[1:])
    outputs[0] += 0.3 * _toward(target, labels)
    prior, strength = np.array([0.5, 0.3, 0.2]), 0.05

    def objective(roots):
        weights = roots**2
        mixed = base + np.einsum("k,kno->no", weights, outputs - base)
        return row_losses(target, mixed, labels).mean() + strength * kl_div(weights, prior).sum()

    options = {"xatol": 1e-8, "fatol": 1e-13, "maxiter": 4000}
    expected = minimize(objective, np.sqrt(prior), method="Nelder-Mead", options=options).x ** 2
    found = stack(target, outputs, labels, prior, strength, base)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def _toward(target, labels):
    """Outputs that lean to the labels, so that not all weights end at nothing."""
    if target.kind == "continuous":
        return ((labels - target.location) / target.scale)[:, None]
    if target.kind == "categorical":
        return 3.0 * (labels[:, None] == np.arange(target.n_outputs))
    return 3.0 * (2 * (labels[:, None] > np.arange(target.n_outputs)) - 1)


@pytest.mark.parametrize("kind", TARGETS)
def test_an_endless_strength_gives_the_prior(kind):
    outputs, labels = some(TARGETS[kind])
    prior = np.array([0.6, 0.3, 0.1])
    np.testing.assert_allclose(stack(TARGETS[kind], outputs, labels, prior, 1e6), prior, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(sorted(TARGETS)), st.floats(1e-3, 1.0))
def test_weights_are_no_worse_than_any_predictor_the_prior_or_none(seed, kind, strength):
    target = TARGETS[kind]
    outputs, labels = some(target, seed)
    prior = np.full(3, 1 / 3)
    found = stack(target, outputs, labels, prior, strength)
    assert ((found >= 0) & (found <= MOST_WEIGHT)).all()

    def objective(weights):
        loss = row_losses(target, np.tensordot(weights, outputs, 1), labels).mean()
        return loss + strength * kl_div(weights, prior).sum()

    assert objective(found) <= min(objective(weights) for weights in [prior, 0 * prior, *np.eye(3)]) + 1e-6
    order = np.array([2, 0, 1])
    np.testing.assert_allclose(stack(target, outputs[order], labels, prior, strength), found[order], atol=2e-3)


def test_equal_predictors_keep_the_proportions_of_the_prior():
    outputs, labels = some(SEX)
    same = np.repeat(outputs[:1] + 0.5 * _toward(SEX, labels), 3, axis=0)
    found = stack(SEX, same, labels, np.array([0.5, 0.3, 0.2]), 0.1)
    np.testing.assert_allclose(found / found.sum(), [0.5, 0.3, 0.2], atol=1e-4)


@pytest.mark.parametrize(
    "changed",
    [
        {"strength": 0.0},
        {"strength": np.nan},
        {"prior": np.array([1.0, 0.0, 0.0])},
        {"prior": np.array([1.0, 1.0, 3.1])},
        {"outputs": np.full((3, 40, 1), np.nan)},
        {"base": np.full((40, 1), np.inf)},
    ],
)
def test_what_cannot_be_stacked_is_refused(changed):
    outputs, labels = some(SEX)
    values = {"outputs": outputs, "prior": np.full(3, 1 / 3), "strength": 0.1} | changed
    with pytest.raises(InputError, match="stacking takes finite outputs"):
        stack(SEX, labels=labels, **values)

"""The table KINDS: what its rows have in common with the releases, and which file fits which kind."""

import numpy as np
import pytest

from neurotransfer.cohort.recipes import RECIPES
from neurotransfer.errors import ModelError
from neurotransfer.models.conversions import EPSILON, KINDS, get_conversion, kinds_of
from neurotransfer.models.convert import _require_kind
from neurotransfer.models.layouts import KERAS, TORCH, layout_of
from neurotransfer.models.published import RELEASES
from neurotransfer.models.sfcn import POOLINGS
from neurotransfer.targets import Target
from published_arrays import keras_arrays, numbered, published, tensorflow_arrays, torch_arrays

MULTI = ("age", "sex", "handedness", "bmi", "fluid_intelligence", "neuroticism")
WIDTHS = {
    "sfcn-reg-2022": (1,), "sfcn-sm-2022": (93,), "sfcn-rank-2022": (91,), "sfcn-bin-2024": (1,), "multi-2025": (1,) * 6,
    "reg-2025": (1,), "sfcn-ukb-age": (40,), "sfcn-ukb-sex": (2,),
}  # fmt: skip


def layout(kind):
    """What a file of a kind holds, its layers named as its authors do."""
    row = KINDS[kind]
    if row.framework == TORCH:
        return layout_of(torch_arrays(n_bins=WIDTHS[kind][0]), "a file")
    return layout_of(
        keras_arrays(lambda part, place: published(part, place, row.prefix), widths=WIDTHS[kind]), "a file"
    )


# --- laws of the table


def test_the_kinds_are_those_of_the_releases():
    assert list(KINDS) == list(RELEASES) == list(WIDTHS)
    assert all(kind == row.kind for kind, row in KINDS.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_holds_what_can_be(kind):
    row = KINDS[kind]
    assert row.recipe in RECIPES
    assert row.contract.recipe == row.recipe
    assert row.pooling in POOLINGS
    assert row.framework in EPSILON
    assert bool(row.prefix) == (row.framework == KERAS)
    names = [head.target.name for head in row.heads]
    assert len(set(names)) == len(names)
    assert all(isinstance(head.target, Target) for head in row.heads)


@pytest.mark.parametrize("kind", KINDS)
def test_heads_have_the_outputs_of_their_targets(kind):
    for head in KINDS[kind].heads:
        for width in head.widths:
            assert head.target_of(width).n_outputs == (1 if head.is_difference else width)


def test_the_inputs_are_those_that_their_authors_give():
    shapes = {kind: row.contract.shape for kind, row in KINDS.items()}
    for kind in ("sfcn-reg-2022", "sfcn-sm-2022", "sfcn-rank-2022", "sfcn-bin-2024"):
        assert shapes[kind] == (167, 212, 160)
    assert shapes["multi-2025"] == shapes["reg-2025"] == (224, 192, 224)
    assert shapes["sfcn-ukb-age"] == shapes["sfcn-ukb-sex"] == (160, 192, 160)
    assert [kind for kind, row in KINDS.items() if row.pooling == "maximum"] == ["multi-2025"]


def test_the_targets_are_those_that_their_authors_give():
    assert tuple(head.target.name for head in KINDS["multi-2025"].heads) == MULTI
    assert [head.target.kind for head in KINDS["multi-2025"].heads] == ["continuous", "binary", "binary"] + [
        "continuous"
    ] * 3
    (soft,), (ranks,), (ukb,) = (KINDS[kind].heads for kind in ("sfcn-sm-2022", "sfcn-rank-2022", "sfcn-ukb-age"))
    assert (soft.target.levels[0], soft.target.levels[-1], len(soft.target.levels)) == (3, 95, 93)
    assert ranks.target_of(92).levels == tuple(range(3, 96))
    assert ranks.target_of(91).levels == tuple(range(3, 95))
    assert (ukb.target.levels[0], ukb.target.levels[-1], len(ukb.target.levels)) == (42.5, 81.5, 40)
    assert KINDS["sfcn-ukb-sex"].heads[0].target.classes == ("F", "M")
    assert KINDS["sfcn-reg-2022"].heads[0].target.limits == (3, 95)


def test_of_two_outputs_with_a_softmax_the_difference_is_enough():
    (head,) = KINDS["sfcn-ukb-sex"].heads
    (layer,) = layout("sfcn-ukb-sex").heads
    weight, bias = head.tensors_of(layer)
    features = np.random.default_rng(0).normal(size=(7, weight.shape[1]))
    scores = features @ layer.weight[1].T + layer.bias[1]
    male = np.exp(scores[:, 1]) / np.exp(scores).sum(1)
    np.testing.assert_allclose(head.target.decode(features @ weight.T + bias)[0], male, rtol=1e-6)


# --- which file is which


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_a_kind_is_of_that_kind_alone(kind):
    assert kinds_of(layout(kind)) == [kind]


@pytest.mark.parametrize("wrong", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_kind_is_refused_with_the_right_one(kind, wrong):
    if kind == wrong:
        _require_kind(KINDS[kind], layout(kind), "weights")
        return
    with pytest.raises(ModelError, match=f"it can be converted --as {kind}") as caught:
        _require_kind(KINDS[wrong], layout(kind), "weights")
    assert f"'weights' as {wrong}" in str(caught.value)


@pytest.mark.parametrize("make", [lambda: keras_arrays(numbered), tensorflow_arrays])
def test_a_file_without_names_is_what_the_user_says_among_those_that_fit(make):
    assert kinds_of(layout_of(make(), "a file")) == ["sfcn-reg-2022", "sfcn-bin-2024", "reg-2025"]


def test_a_network_with_a_name_of_its_own_is_not_refused_for_it():
    own = layout_of(keras_arrays(lambda part, place: published(part, place, "my-net")), "a file")
    assert "reg-2025" in kinds_of(own)


def test_a_file_of_no_kind_says_so():
    strange = layout_of(keras_arrays(numbered, widths=(17,)), "a file")
    assert kinds_of(strange) == []
    with pytest.raises(ModelError, match="of no kind that is known here") as caught:
        _require_kind(KINDS["sfcn-sm-2022"], strange, "weights")
    assert "1 head (17 outputs), sfcn-sm-2022 has 1 head (93 outputs)" in str(caught.value)


# --- several heads


def named(part, place):
    return (
        f"SFCNMulti_predictions_predictions_{MULTI[5 - place]}"
        if part == "dense"
        else published(part, place, "SFCNMulti")
    )


def test_heads_are_told_by_the_names_of_their_targets():
    pairs = KINDS["multi-2025"].paired(layout_of(keras_arrays(named, widths=(1,) * 6), "a file"))
    assert [head.target.name for head, _ in pairs] == list(MULTI)
    assert all(layer.name.endswith(f"_{head.target.name}") for head, layer in pairs)


def test_heads_without_names_come_in_their_order():
    pairs = KINDS["multi-2025"].paired(layout_of(tensorflow_arrays(widths=(1,) * 6), "a file"))
    assert [layer.name for _, layer in pairs] == [f"layer_with_weights-{number}" for number in range(12, 18)]


def test_heads_of_which_only_some_bear_a_name_are_refused():
    arrays = keras_arrays(named, widths=(1,) * 6)
    arrays = {name.replace("predictions_bmi", "predictions_weight"): array for name, array in arrays.items()}
    with pytest.raises(ModelError, match="no head is named for bmi"):
        KINDS["multi-2025"].paired(layout_of(arrays, "a file"))


def test_an_unknown_kind_names_those_that_there_are():
    with pytest.raises(ModelError, match="did you mean 'multi-2025'") as caught:
        get_conversion("multi-2024")
    assert all(kind in str(caught.value) for kind in KINDS)

"""Arrays of a file as layers of an SFCN: names of all sorts, every array with one place, and what lacks or is left over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurotransfer.errors import ModelError
from neurotransfer.models import SFCN
from neurotransfer.models.layouts import KERAS, N_LAYERS, TORCH, layout_of
from published_arrays import (
    FILTERS,
    PARTS,
    keras_arrays,
    keras_layers,
    later,
    numbered,
    published,
    tensorflow_arrays,
    torch_arrays,
)

CASES = {
    "published": (KERAS, keras_arrays()),
    "published numbers": (KERAS, keras_arrays(digits=True)),
    "numbered": (KERAS, keras_arrays(numbered, digits=True)),
    "numbered later": (KERAS, keras_arrays(later, digits=True)),
    "tensorflow": (KERAS, tensorflow_arrays()),
    "torch": (TORCH, torch_arrays(n_bins=1)),
    "torch on one": (TORCH, torch_arrays("", n_bins=1)),
    "torch in a checkpoint": (TORCH, torch_arrays("state_dict/module.", n_bins=1)),
}


# --- laws of every form


@pytest.mark.parametrize("case", CASES)
def test_every_array_has_its_place_in_every_form(case):
    framework, arrays = CASES[case]
    layout = layout_of(arrays, "a file")
    assert (layout.framework, layout.filters, layout.ignored) == (framework, FILTERS, ())
    wanted = {f"encoder.{name}" for name in SFCN(filters=FILTERS).state_dict()}
    assert {name for name in wanted - set(layout.body) if not name.endswith("num_batches_tracked")} == set()
    for number, (kind, place, variables) in enumerate(keras_layers()):
        where = f"encoder.blocks.{place}" if place < N_LAYERS - 1 else "encoder.top"
        if kind == "conv":
            np.testing.assert_array_equal(
                layout.body[f"{where}.0.weight"][1], variables["kernel"].transpose(4, 3, 0, 1, 2), err_msg=str(number)
            )
            np.testing.assert_array_equal(layout.body[f"{where}.0.bias"][1], variables["bias"])
        elif kind == "norm":
            for ours, theirs in PARTS.items():
                np.testing.assert_array_equal(layout.body[f"{where}.1.{ours}"][1], variables[theirs])
    (head,) = layout.heads
    np.testing.assert_array_equal(head.weight[1], keras_layers()[-1][2]["kernel"].T)
    assert head.n_outputs == 1


@pytest.mark.parametrize("case", CASES)
@given(order=st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_of_a_file_says_nothing(case, order):
    _, arrays = CASES[case]
    names = list(arrays)
    order.shuffle(names)
    one, other = layout_of(arrays, "a"), layout_of({name: arrays[name] for name in names}, "a")
    assert {name: there for name, (there, _) in one.body.items()} == {
        name: there for name, (there, _) in other.body.items()
    }
    assert [head.name for head in one.heads] == [head.name for head in other.heads]


@pytest.mark.parametrize("case", CASES)
def test_any_array_that_lacks_is_noticed(case):
    _, arrays = CASES[case]
    for name in arrays:
        if name.endswith("num_batches_tracked"):
            continue
        with pytest.raises(ModelError, match="a file"):
            layout_of({other: array for other, array in arrays.items() if other != name}, "a file")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["other/kernel", "extra", "attention/gate", "feature_map/scale"])
def test_an_array_without_a_place_is_named_and_refused(case, name):
    _, arrays = CASES[case]
    with pytest.raises(ModelError, match=f"1 arrays have no place in an SFCN \\({name}\\)"):
        layout_of(arrays | {name: np.ones(3)}, "a file")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "name",
    [
        "optimizer/_iterations", "optimizer/vars/3", "optimizer_weights/Adam/m", "save_counter", "optimizer_state_dict/0/step",
        "layer_with_weights-0/kernel/.OPTIMIZER_SLOT/optimizer/m", "layers/dropout/seed_generator/0",
    ],
)  # fmt: skip
def test_what_belongs_to_a_training_is_left_out_and_listed(case, name):
    _, arrays = CASES[case]
    layout = layout_of(arrays | {name: np.ones(3)}, "a file")
    assert layout.ignored == (name,)
    assert name not in {there for there, _ in layout.body.values()}


# --- names


@pytest.mark.parametrize("prefix", ["sfcn-reg", "SFCNMulti", "SFCN", "my_net", "run/SFCN"])
def test_the_name_of_the_network_is_found(prefix):
    layout = layout_of(keras_arrays(lambda kind, place: published(kind, place, prefix)), "a file")
    assert layout.prefix == prefix.rpartition("/")[2]


@pytest.mark.parametrize("case", ["numbered", "tensorflow", "torch"])
def test_layers_without_names_have_no_network_named(case):
    assert layout_of(CASES[case][1], "a file").prefix == ""


def test_heads_without_names_keep_the_order_of_their_numbers():
    widths = tuple(range(1, 13))
    for arrays in (keras_arrays(numbered, widths=widths), tensorflow_arrays(widths=widths)):
        assert [head.n_outputs for head in layout_of(arrays, "a file").heads] == list(widths)


# --- other networks


def test_another_number_of_layers_says_how_many_there_are():
    arrays = {name: array for name, array in keras_arrays().items() if "block-3" not in name}
    with pytest.raises(ModelError, match="5 convolutions, 5 batch norms and 1 heads, an SFCN has 6, 6 and one or more"):
        layout_of(arrays, "a file")
    with pytest.raises(ModelError, match="and 0 heads"):
        layout_of({name: array for name, array in keras_arrays().items() if "predictions" not in name}, "a file")


def test_filters_of_another_size_are_named():
    arrays = keras_arrays()
    arrays["sfcn-reg_block-2_conv/kernel"] = np.ones((5, 5, 5, 3, 4), np.float32)
    with pytest.raises(ModelError, match=r"encoder\.blocks\.2: \(4, 3, 5, 5, 5\)"):
        layout_of(arrays, "a file")


def test_a_head_of_torch_with_large_filters_is_refused():
    arrays = torch_arrays()
    arrays["module.classifier.conv_6.weight"] = np.ones((40, 5, 2, 2, 2))
    with pytest.raises(ModelError, match=r"no head classifier\.conv_6"):
        layout_of(arrays, "a file")


@pytest.mark.parametrize("value", [np.array(1.0), np.ones((2, 2))])
def test_biases_that_are_no_list_are_refused(value):
    with pytest.raises(ModelError, match="no list of biases"):
        layout_of(keras_arrays() | {"sfcn-reg_predictions/bias": value}, "a file")


def test_all_problems_are_in_one_message():
    arrays = torch_arrays() | {"module.extra": np.ones(2)}
    del arrays["module.classifier.conv_6.bias"], arrays["module.feature_extractor.conv_2.0.bias"]
    with pytest.raises(ModelError, match="3 problems in a file") as caught:
        layout_of(arrays, "a file")
    for part in ("encoder.blocks.2.0.bias", "no head", "module.extra"):
        assert part in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(
            ["a/kernel", "a/bias", "b/gamma", "a/0", "a/1", "module.feature_extractor.conv_0.0.weight", "x", ""]
        ),
        st.sampled_from([np.ones(2), np.array(1.0), np.ones((3, 3, 3, 1, 2)), np.ones((2, 1))]),
    )
)
def test_whatever_arrays_there_are_the_answer_is_a_message(arrays):
    with pytest.raises(ModelError, match="a file"):
        layout_of(arrays, "a file")

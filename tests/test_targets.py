"""Targets: labels to numbers and back, for all four kinds; what a column holds; what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurotransfer.errors import InputError
from neurotransfer.targets import KINDS, KNOWN, MISSING, Target, as_text, infer_target

TARGETS = {
    "continuous": Target("age", "continuous", unit="years", location=40.0, scale=12.0),
    "binary": Target("sex", "binary", classes=("F", "M")),
    "categorical": Target("site", "categorical", classes=("a", "b", "c", "d")),
    "ordinal": Target("grade", "ordinal", column="severity", classes=("none", "mild", "severe"), weight=0.5),
}
OUTPUTS = st.floats(-1e3, 1e3)
LABELS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=6).filter(
    lambda text: text not in MISSING
)
CLASSES = st.lists(LABELS, min_size=2, max_size=6, unique=True)


def labels_of(target, n, seed):
    generator = np.random.default_rng(seed)
    return pd.Series(generator.choice(target.classes, n) if target.classes else generator.normal(40, 12, n).astype(str))


def perfect_outputs(target, encoded):
    """The outputs of a network that is as sure as can be of these labels (n,)."""
    if target.kind == "continuous":
        return ((encoded - target.location) / target.scale)[:, None]
    if target.kind == "binary":
        return np.where(encoded > 0, 40.0, -40.0)[:, None]
    if target.kind == "categorical":
        return 80 * np.eye(len(target.classes))[encoded.astype(int)]
    return np.where(encoded[:, None] > np.arange(len(target.classes) - 1), 40.0, -40.0)


def test_every_kind_has_a_target_here():
    assert tuple(TARGETS) == KINDS
    assert all(kind in KINDS for kind, _ in KNOWN.values())


# --- laws of every kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_decoding_undoes_encoding(kind, seed):
    target = TARGETS[kind]
    labels = labels_of(target, 50, seed)
    encoded = target.encode(labels)
    decoded, probabilities = target.decode(perfect_outputs(target, encoded))
    np.testing.assert_allclose(decoded, encoded, atol=1e-9)
    if target.classes:
        assert [target.classes[index] for index in probabilities.argmax(1)] == list(labels)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_probabilities_are_probabilities(kind, data):
    target = TARGETS[kind]
    outputs = data.draw(arrays(float, (7, target.n_outputs), elements=OUTPUTS))
    decoded, probabilities = target.decode(outputs)
    assert decoded.shape == (7,)
    assert probabilities.shape == (7, len(target.classes))
    assert np.isfinite(decoded).all()
    if target.classes:
        assert probabilities.min() >= 0
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-12)


@given(arrays(float, (9, 2), elements=OUTPUTS))
def test_levels_lie_within_the_levels_whatever_the_order_of_thresholds(outputs):
    levels, probabilities = TARGETS["ordinal"].decode(outputs)
    assert ((levels >= 0) & (levels <= 2)).all()
    np.testing.assert_allclose(levels, probabilities @ [0, 1, 2])


@given(st.floats(-100, 100), st.floats(0, 50))
def test_a_larger_output_never_lowers_binary_and_ordinal_predictions(output, step):
    for kind in ("binary", "ordinal"):
        target = TARGETS[kind]
        low, high = (target.decode(np.full((1, target.n_outputs), value))[0][0] for value in (output, output + step))
        assert high >= low


@given(arrays(float, (6, 4), elements=OUTPUTS), st.floats(-500, 500))
def test_a_constant_does_not_change_the_classes(outputs, constant):
    target = TARGETS["categorical"]
    np.testing.assert_allclose(target.decode(outputs + constant)[1], target.decode(outputs)[1], atol=1e-9)


def test_decoding_is_that_of_an_independent_implementation():
    from scipy.special import expit, softmax

    outputs = np.random.default_rng(0).normal(0, 3, (20, 4))
    np.testing.assert_allclose(TARGETS["categorical"].decode(outputs)[1], softmax(outputs, 1))
    np.testing.assert_allclose(TARGETS["binary"].decode(outputs[:, :1])[0], expit(outputs[:, 0]))
    falling = -np.sort(-outputs[:, :2], axis=1)
    above = expit(falling)
    np.testing.assert_allclose(
        TARGETS["ordinal"].decode(falling)[1],
        np.column_stack([1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]]),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_card_gives_the_target_back(kind):
    target = TARGETS[kind]
    assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target


@given(CLASSES, st.sampled_from(["categorical", "ordinal"]), st.floats(0.1, 9), st.text(max_size=5))
def test_any_target_survives_its_model_card(classes, kind, weight, unit):
    target = Target("x", kind, classes=tuple(classes), weight=weight, unit=unit)
    assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target
    assert target.n_outputs == len(classes) - (kind == "ordinal")


@pytest.mark.parametrize(("kind", "n_outputs"), [("continuous", 1), ("binary", 1), ("categorical", 4), ("ordinal", 2)])
def test_how_many_numbers_a_network_puts_out(kind, n_outputs):
    assert TARGETS[kind].n_outputs == n_outputs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("marker", [*MISSING, None, np.nan, pd.NA, pd.NaT, "  ", " n/a "])
def test_a_missing_label_is_nan(kind, marker):
    target = TARGETS[kind]
    label = target.classes[0] if target.classes else "3.5"
    encoded = target.encode(pd.Series([label, marker, label], dtype=object))
    np.testing.assert_array_equal(np.isnan(encoded), [False, True, False])
    assert np.isnan(target.encode(pd.Series([marker, marker], dtype=object))).all()


@given(CLASSES, st.data())
def test_the_code_of_a_class_is_its_place(classes, data):
    target = Target("x", "categorical", classes=tuple(classes))
    drawn = data.draw(st.lists(st.sampled_from(classes), min_size=1, max_size=9))
    assert [classes[int(code)] for code in target.encode(pd.Series(drawn))] == drawn


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
@example([-0.0, 5e-324, 1.7976931348623157e308])
def test_numbers_are_read_from_text_and_from_numbers(values):
    target = Target("x", "continuous")
    for column in (pd.Series(values), pd.Series([repr(value) for value in values])):
        np.testing.assert_allclose(target.encode(column), values, rtol=1e-15, atol=5e-324)


# --- labels as text


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pd.Series([1, 0]), ["1", "0"]),
        (pd.Series([1.0, np.nan, 0.5]), ["1", None, "0.5"]),
        (pd.Series([1.0, 2.0], dtype="float32"), ["1", "2"]),
        (pd.Series([np.float32(1.0), np.float64(2.0), 3, "4"], dtype=object), ["1", "2", "3", "4"]),
        (pd.Series([1, None], dtype="Int64"), ["1", None]),
        (pd.Series([1.0, None], dtype="Float64"), ["1", None]),
        (pd.Series([True, False]), ["True", "False"]),
        (pd.Series([True, None], dtype="boolean"), ["True", None]),
        (pd.Series(["a", "b", None], dtype="category"), ["a", "b", None]),
        (pd.Series(["a", None], dtype="string"), ["a", None]),
        (pd.Series([" a ", "\tb"]), ["a", "b"]),
        (pd.Series([np.inf, -1e300]), ["inf", str(int(-1e300))]),
        (pd.Series([[1, 2], None], dtype=object), ["[1, 2]", None]),
        (pd.Series([], dtype=float), []),
        (pd.Series(["001", "1.0"]), ["001", "1.0"]),
    ],
)
def test_labels_of_every_column_type_become_text(column, text):
    found = as_text(column)
    assert list(found) == text
    assert found.index.equals(column.index)


@given(st.lists(st.integers(-1000, 1000) | st.none(), max_size=9))
def test_whole_numbers_are_the_same_text_in_every_type(values):
    expected = [None if value is None else str(value) for value in values]
    assert list(as_text(pd.Series(values, dtype="Int64"))) == expected
    assert list(as_text(pd.Series(values, dtype=float))) == expected
    assert list(as_text(pd.Series(expected, dtype=object))) == expected


def test_text_of_text_is_itself():
    once = as_text(pd.Series(["a", 1.0, None, "n/a", True], dtype=object))
    pd.testing.assert_series_equal(as_text(once), once)


def test_a_class_given_as_a_number_is_that_of_a_column_of_numbers():
    target = Target("case", "binary", classes=(0.0, 1))
    assert target.classes == ("0", "1")
    np.testing.assert_array_equal(target.encode(pd.Series([1.0, 0.0, np.nan])), [1, 0, np.nan])


# --- what is refused


@pytest.mark.parametrize(
    ("kind", "labels", "found"),
    [
        ("continuous", ["1", "old", "2", "3,5"], "found 'old' .row 2., '3,5' .row 4.; allowed: numbers, or empty"),
        ("continuous", ["inf", "1"], "found 'inf' .row 1.; allowed: numbers"),
        ("continuous", ["1e999"], "found '1e999' .row 1."),
        ("continuous", [True, 1], "found 'True' .row 1."),
        ("binary", ["F", "M", "f"], "target 'sex', column 'sex': found 'f' .row 3.; allowed: F, M"),
        ("categorical", ["a", "e"], "found 'e' .row 2.; allowed: a, b, c, d"),
        ("ordinal", ["none", "None"], "'grade', column 'severity': found 'None' .row 2.; allowed: none"),
    ],
)  # fmt: skip
def test_a_label_that_is_none_is_told_with_its_row(kind, labels, found):
    with pytest.raises(InputError, match=found):
        TARGETS[kind].encode(pd.Series(labels, dtype=object))


def test_rows_are_counted_in_the_labels_given_and_many_are_cut_short():
    with pytest.raises(InputError, match=r"'x' \(row 1\), 'x' \(row 2\), .* \(row 10\) and 15 more; allowed"):
        TARGETS["binary"].encode(pd.Series(["x"] * 25, index=range(100, 125)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "continous"}, "unknown kind of target 'x' 'continous'; allowed: .*; did you mean 'continuous'"),
        ({"kind": "binary"}, "is binary and needs two classes or more"),
        ({"kind": "categorical", "classes": ("a",)}, "is categorical and needs two classes or more"),
        ({"kind": "binary", "classes": ("a", "b", "c")}, "is binary and has two classes, got .'a', 'b', 'c'"),
        ({"kind": "ordinal", "classes": ("a", "b", "a")}, "needs classes that differ and are not missing"),
        ({"kind": "categorical", "classes": ("1", 1.0)}, "needs classes that differ and are not missing"),
        ({"kind": "binary", "classes": ("n/a", "b")}, "needs classes that differ and are not missing"),
        ({"kind": "continuous", "scale": 0.0}, "needs a finite location and a scale above zero, got 0.0 and 0.0"),
        ({"kind": "continuous", "scale": float("nan")}, "a scale above zero"),
        ({"kind": "continuous", "location": float("inf")}, "a finite location"),
    ],
)
def test_a_target_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Target("x", **arguments)


def test_a_card_with_a_foreign_key_is_refused():
    with pytest.raises(InputError, match=r"unknown key of a target 'clases'; allowed: .*; did you mean 'classes'"):
        Target.from_dict({"name": "x", "kind": "binary", "clases": ["a", "b"]})


# --- standardisation


@given(arrays(float, st.integers(2, 30), elements=st.floats(-1e4, 1e4) | st.just(np.nan)))
def test_a_scaled_target_standardises_and_gives_the_values_back(values):
    target = Target("x", "continuous").scaled_to(values)
    assert target.scale > 0
    known = values[~np.isnan(values)]
    standard = (known - target.location) / target.scale
    np.testing.assert_allclose(target.decode(standard[:, None])[0], known, atol=1e-6)
    if len(known) and np.ptp(known) > 1e-3:
        assert standard.mean() == pytest.approx(0, abs=1e-6)
        assert standard.std() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["binary", "categorical", "ordinal"])
def test_classes_are_not_scaled(kind):
    assert TARGETS[kind].scaled_to(np.array([0.0, 1.0])) is TARGETS[kind]


def test_values_that_are_all_missing_or_all_the_same_leave_a_target_that_works():
    target = Target("x", "continuous")
    assert target.scaled_to(np.array([np.nan])) is target
    same = target.scaled_to(np.array([3.0, 3.0, np.nan]))
    assert (same.location, same.scale) == (3.0, 1.0)


# --- what a column holds


@pytest.mark.parametrize(
    ("name", "values", "kind", "classes", "unit"),
    [
        ("age", ["30", "41"], "continuous", (), "years"),
        ("sex", ["M", "F", "F"], "binary", ("F", "M"), ""),
        ("handedness", ["R", "L"], "binary", ("L", "R"), ""),
        ("bmi", [20.5, 30, np.nan], "continuous", (), "kg/m2"),
        ("fluid_intelligence", ["3", "9", "12"], "continuous", (), "points"),
        ("neuroticism", ["3", "9", "12"], "continuous", (), "points"),
        ("diagnosis", ["control", "AD"], "binary", ("AD", "control"), ""),
        ("smoker", ["yes", "no", "no"], "binary", ("no", "yes"), ""),
        ("case", [1.0, 0.0, np.nan], "binary", ("0", "1"), ""),
        ("case", [True, False], "binary", ("False", "True"), ""),
        ("iq", ["100", "97.5", "n/a", "120"], "continuous", (), ""),
        ("scanner", ["b", "a", "c"], "categorical", ("a", "b", "c"), ""),
        ("scanner", ["10", "9", "x"], "categorical", ("9", "10", "x"), ""),
        ("grade", ["10", "9"], "binary", ("9", "10"), ""),
    ],
)
def test_the_kind_of_a_column_is_guessed(name, values, kind, classes, unit):
    target = infer_target(name, pd.DataFrame({name: pd.Series(values)}))
    assert (target.kind, target.classes, target.unit, target.column) == (kind, classes, unit, name)


def test_every_known_name_is_tested():
    tested = {"age", "sex", "handedness", "bmi", "fluid_intelligence", "neuroticism", "diagnosis"}
    assert set(KNOWN) == tested


def test_a_column_a_kind_and_a_weight_can_be_given():
    table = pd.DataFrame({"severity": ["2", "10", "1"]})
    target = infer_target("grade", table, column="severity", kind="ordinal", weight=2.0)
    assert target == Target("grade", "ordinal", "severity", ("1", "2", "10"), "", 2.0)
    assert infer_target("grade", table, column="severity").kind == "continuous"
    assert infer_target("age", pd.DataFrame({"age": ["1", "2"]}), kind="binary").classes == ("1", "2")


@given(st.permutations(["10", "9", "x", "NAN", "inf", "1.0", "01"]))
def test_the_order_of_classes_does_not_depend_on_the_order_of_rows(values):
    found = infer_target("x", pd.DataFrame({"x": values}), kind="categorical").classes
    assert found == infer_target("x", pd.DataFrame({"x": sorted(values)}), kind="categorical").classes


@given(CLASSES)
def test_an_inferred_target_reads_its_own_column(values):
    table = pd.DataFrame({"x": values})
    target = infer_target("x", table, kind="categorical")
    assert sorted(target.encode(table["x"])) == list(range(len(values)))


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (
            ["a", "a", "n/a"],
            {},
            "target 'x', column 'x': found only the value 'a'; a target needs two different values",
        ),
        (["", None], {}, "found no value at all"),
        (["1", "2"], {"column": "y"}, "unknown target column 'y'; allowed: x"),
        (["1", "old"], {"kind": "continuous"}, "found 'old' .row 2.; allowed: numbers"),
        (["a", "b", "c"], {"kind": "binary"}, "a binary target has two values, found 3: a, b, c; recode the column"),
        (["a", "b"], {"kind": "binnary"}, "unknown kind of target 'x' 'binnary'; .* did you mean 'binary'"),
    ],
)
def test_a_column_that_cannot_be_a_target_is_refused(values, options, message):
    with pytest.raises(InputError, match=message):
        infer_target("x", pd.DataFrame({"x": values}), **options)


def test_a_known_name_with_text_where_numbers_belong_is_refused():
    with pytest.raises(InputError, match=r"target 'age', column 'age': found 'thirty' .row 2."):
        infer_target("age", pd.DataFrame({"age": ["30", "thirty"]}))


def test_the_order_of_words_is_not_guessed():
    table = pd.DataFrame({"grade": ["none", "mild", "severe", "mild"]})
    with pytest.raises(InputError, match="the order of mild, none, severe is not known; recode"):
        infer_target("grade", table, kind="ordinal")


@pytest.mark.parametrize("value", ["57,6", "-0,5"])
def test_a_decimal_comma_is_named(value):
    with pytest.raises(InputError, match=rf"found '{value}' \(row 2\).*write decimals with a point"):
        Target("age", "continuous").encode(pd.Series(["50", value]))
    with pytest.raises(InputError) as caught:
        Target("age", "continuous").encode(pd.Series(["50", "old"]))
    assert "point" not in str(caught.value)


def test_a_level_has_no_unit():
    table = pd.DataFrame({"bmi": ["20", "30", "40", "20"]})
    assert infer_target("bmi", table, kind="ordinal").unit == ""
    assert infer_target("bmi", table).unit == "kg/m2"


@pytest.mark.parametrize("marker", ["NULL", "null", "#N/A", "<NA>", "na"])
def test_a_marker_of_missing_is_no_class(marker):
    assert infer_target("arm", pd.DataFrame({"arm": ["a", "b", marker]})).classes == ("a", "b")

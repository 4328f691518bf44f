"""Features of scans: run, kept, read, and the scans that models have in common."""

import numpy as np
import pandas as pd
import pytest

from neurotransfer.cohort import read_cohort
from neurotransfer.errors import InputError
from neurotransfer.explain.gathering import Held, held_by, in_common, read_features
from neurotransfer.models import load_model
from neurotransfer.predict import embed, embed_into


def test_features_are_those_of_embed_and_layers_come_beside(tiny_cohort, tiny_model, tmp_path):
    model, cohort = load_model(tiny_model), read_cohort(tiny_cohort)
    seen = []
    found = held_by(model, cohort, tmp_path, on_scan=lambda: seen.append(1))
    expected = embed(model, cohort)
    names = [name for name in expected if name.startswith("feature_")]
    np.testing.assert_allclose(found.features, expected[names].to_numpy(), rtol=1e-5, atol=1e-6)
    assert found.keys.equals(expected[["participant_id", "session_id"]].astype(str))
    assert list(found.layers)[-1] == "features"
    assert list(found.layers)[:5] == [f"layer {place}" for place in range(1, 6)]
    # with average pooling the mean of the last layer is the features, and does not stand there twice
    assert "layer 6" not in found.layers
    assert len(seen) == len(cohort)
    # what was done is kept: the same call reads no scan
    again = held_by(model, read_cohort(tiny_cohort), tmp_path)
    np.testing.assert_array_equal(again.features, found.features)
    assert list(held_by(model, cohort, tmp_path, layers=False).layers) == ["features"]


def test_tables_of_embed_are_read_and_others_refused(tiny_cohort, tiny_model, tmp_path):
    model, cohort = load_model(tiny_model), read_cohort(tiny_cohort)
    for ending in ("parquet", "tsv"):
        embed_into(tmp_path / f"f.{ending}", model, cohort)
        found = read_features(tmp_path / f"f.{ending}", model)
        np.testing.assert_allclose(found.features, held_by(model, cohort, tmp_path, layers=False).features, rtol=1e-5)
    table = pd.read_parquet(tmp_path / "f.parquet")
    n = sum(name.startswith("feature_") for name in table)
    broken = {
        "less": (table.drop(columns="feature_000"), f"has {n - 1} features, model 'tiny' gives {n}"),
        "none": (table[["participant_id", "session_id"]], "it lacks feature_000"),
        "keys": (table.drop(columns="participant_id"), "it lacks participant_id"),
        "gaps": (table.assign(feature_000=np.nan), "missing or no numbers"),
    }
    for name, (made, said) in broken.items():
        made.to_parquet(tmp_path / f"{name}.parquet")
        with pytest.raises(InputError, match=said):
            read_features(tmp_path / f"{name}.parquet", model)
    with pytest.raises(InputError, match="allowed endings"):
        read_features(tmp_path / "f.xlsx", model)


def keyed(people):
    return pd.DataFrame({"participant_id": list(people), "session_id": ["" for _ in people]})


def held(name, people):
    return Held(name, keyed(people), {"features": np.array([[float(ord(person))] for person in people])})


def test_scans_are_matched_by_who_and_when():
    table = keyed(list("abcd")).assign(age=["1", "2", "3", "4"])
    found = in_common(table, [held("one", "dcba"), held("two", "bda"), held("one", "abd")])
    assert found.table["age"].tolist() == ["1", "2", "4"]
    assert found.left_out == 1
    assert [model.name for model in found.models] == ["one", "two", "one (2)"]
    for model in found.models:
        assert model.features[:, 0].tolist() == [ord(person) for person in "abd"]
        assert model.keys["participant_id"].tolist() == ["a", "b", "d"]
    assert len(found.people) == 3


def test_features_of_other_scans_are_refused():
    with pytest.raises(InputError, match="the table begins with a/, the features with x/"):
        in_common(keyed(["a"]), [held("one", "x")])
    with pytest.raises(InputError, match="features of 'one' have the scan x/ twice"):
        in_common(keyed(["a"]), [held("one", "xx")])
    with pytest.raises(InputError, match="the features with none"):
        in_common(keyed(["a"]), [held("one", "")])

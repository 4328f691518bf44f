"""Random weights and shuffled labels: what changes in a network, when a method is found out, and when a check is not done."""

import numpy as np
import pandas as pd
import pytest
import torch
from networks_for_maps import head_volume, network_of

from neurotransfer.cohort import read_cohort
from neurotransfer.explain.attribution import METHODS, Around, Asked, Method, asked
from neurotransfer.explain.found_where import HEAD, MEAN, localisation_scores
from neurotransfer.explain.randomised import LARGEST, cascade, compared, groups_of, verdicts
from neurotransfer.explain.readout import explained_of
from neurotransfer.explain.shares import region_shares, region_sizes, share_inside
from neurotransfer.explain.shuffled import label_check
from neurotransfer.models import load_model
from neurotransfer.models.network import Network, build_encoder, seeded


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items() if value.is_floating_point()}


@pytest.mark.parametrize("name", ["joined", "mirrored", "resnet10"])
def test_a_cascade_randomises_one_more_part_each_time_from_the_output_down(name):
    network = network_of(name)
    before = weights_of(network)
    parts = [set(map(id, part.parameters())) for part in groups_of(network)]
    place = {
        key: next(n for n, ids in enumerate(parts) if id(value) in ids) for key, value in network.named_parameters()
    }
    stages = [(n, weights_of(changed)) for n, changed in cascade(network, seed=1)]
    assert [n for n, _ in stages] == list(range(len(parts) + 1))
    for n, after in stages:
        # a batch norm begins with ones and zeros: the filters tell
        for key in (key for key in place if before[key].ndim > 1):
            assert torch.equal(after[key], before[key]) == (place[key] >= n), (n, key)
    assert all(torch.equal(value, before[key]) for key, value in weights_of(network).items())


def test_weights_without_a_beginning_of_their_own_are_shuffled_and_a_seed_decides():
    with seeded(0):
        arguments = {"shape": (32, 32, 32), "patch": 8, "channels": 24, "layers": 1, "heads": 3}
        network = Network(build_encoder("vit", arguments), [network_of("average").targets["age"]]).eval()
    positions = "encoder.body.patch_embedding.position_embeddings"
    before = weights_of(network)[positions]
    once, again, other = ([*cascade(network, seed)][-1][1] for seed in (1, 1, 2))
    after = weights_of(once)[positions]
    assert not torch.equal(after, before)
    assert torch.equal(after.flatten().sort()[0], before.flatten().sort()[0])
    assert all(torch.equal(value, weights_of(again)[key]) for key, value in weights_of(once).items())
    assert not torch.equal(weights_of(other)[positions], after)


def test_a_method_that_shows_the_head_is_found_out_and_a_gradient_is_not():
    blind = Asked(Method("image", "the head", "nobody", lambda explained, volume, around, options: volume), {})
    table = compared(
        explained_of(network_of("average")), [blind, asked("gradient-x-input")], {"a": head_volume()}, Around()
    )
    found = verdicts(table)
    assert found["image"].startswith("not sensitive: with random weights the maps have a rank correlation of 1.00")
    assert found["gradient-x-input"].startswith("sensitive")
    plus = compared(explained_of(network_of("average")), [asked("lrp-alpha1-beta0")], {"a": head_volume()}, Around())
    assert verdicts(plus)["lrp-alpha1-beta0"].split(":")[0] != "sensitive"
    ends = table[(table["method"] == "gradient-x-input") & (table["randomised"] == table["of"])]
    assert ends["rank_correlation"].mean() < LARGEST
    first = table[table["randomised"] == 0]
    assert np.allclose(first["rank_correlation"], 1)


def test_shares_add_up_and_an_even_map_has_those_of_the_voxels():
    inside = head_volume()[0, 0].numpy() > 0
    affine = np.diag([5.0, 5, 5, 1])
    affine[:3, 3] = (-80, -110, -70)
    shares = region_shares(np.where(inside, 2.0, 9.0), inside, affine)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares == pytest.approx(region_sizes(inside, affine))
    one = np.zeros(inside.shape)
    place = np.rint(np.linalg.inv(affine) @ [27, -22, -16, 1]).astype(int)[:3]
    one[tuple(place)] = -3
    assert region_shares(one, np.ones_like(inside), affine)["hippocampus"] == 1
    assert share_inside(one, np.zeros_like(inside)) == 0
    assert np.isnan(share_inside(np.zeros(3), np.ones(3, bool)))


def test_scores_are_means_over_scans_and_the_mean_map_stands_apart():
    rows = [("a", f"s{n}", value, value / 2, value / 4, 0.1) for n, value in enumerate((0.2, 0.4, 0.6))]
    rows += [("a", MEAN, 1.0, 1.0, 1.0, 0.1), (HEAD, "s0", 0.0, 0.1, 0.2, 0.1)]
    table = pd.DataFrame(rows, columns=["method", "scan", "pointing", "mass", "rank", "chance"])
    found = localisation_scores(table).set_index(["method", "score"])
    mass = found.loc["a", "relevance mass"]
    assert (mass["mean"], mass["of_mean_map"], mass["scans"]) == (pytest.approx(0.2), 1.0, 3)
    assert 0.1 <= mass["low"] <= 0.2 <= mass["high"] <= 0.3
    assert np.isnan(found.loc[(HEAD, "relevance rank"), "low"])


@pytest.mark.slow
def test_two_models_that_learnt_other_labels_are_compared_on_people_whom_neither_saw(tiny_model, tiny_cohort):
    model, cohort = load_model(tiny_model), read_cohort(tiny_cohort, check=False)
    methods = [asked("gradient-x-input"), asked("lrp-gamma")]
    given = (model, cohort, model.network.targets["sex"], methods, Around())
    found, again = (label_check(*given, epochs=2, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(found.table, again.table)
    assert set(found.scores) == {"true", "shuffled"}
    assert found.table["rank_correlation"].between(-1, 1).all()
    assert found.table["rank_correlation"].max() < 1 - 1e-6
    assert found.table["scan"].nunique() == 4
    assert "Finetuned on" in found.words


def test_a_check_that_cannot_be_done_says_why(tiny_model, tiny_cohort):
    model, cohort = load_model(tiny_model), read_cohort(tiny_cohort, check=False)
    target, methods = model.network.targets["sex"], [asked("gradient-x-input")]
    few = label_check(model, cohort.rows(np.arange(5)), target, methods, Around())
    assert "10 are needed" in few.words
    assert few.table.empty
    without = cohort.rows(np.arange(20))
    without.table.drop(columns="sex", inplace=True)
    assert "no column 'sex'" in label_check(model, without, target, methods, Around()).words
    other = cohort.rows(np.arange(20))
    other.table["sex"] = "?"
    assert "other labels" in label_check(model, other, target, methods, Around()).words


def test_every_complete_method_has_a_number_to_reach():
    for name, method in METHODS.items():
        assert method.is_complete == (name.startswith("lrp-") or name == "integrated-gradients")

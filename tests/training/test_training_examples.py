"""Examples: what identifies them, what they are called, and how they are loaded ahead of their use."""

import threading
import time

import numpy as np
import pytest

from neurotransfer.errors import InputError
from neurotransfer.training.examples import Examples, History, ahead, require_examples


def examples(rows=(0, 2, 3), labels=(1.0, np.nan, 2.0), shape=(5, 2), names=()):
    return Examples(np.zeros(shape, np.float32), np.array(rows), {"age": np.array(labels)}, names)


def test_the_digest_is_that_of_rows_labels_and_shape():
    kept = examples().digest
    assert examples().digest == kept
    assert examples(names=["a", "b"]).digest == kept
    for other in (
        examples(rows=(0, 2, 4)),
        examples(rows=(2, 0, 3)),
        examples(labels=(1.0, 1.0, 2.0)),
        examples(shape=(5, 3)),
    ):
        assert other.digest != kept
    renamed = Examples(np.zeros((5, 2)), np.array([0, 2, 3]), {"sex": np.array([1.0, np.nan, 2.0])})
    assert renamed.digest != kept


def test_rows_are_called_by_their_place_among_all_and_by_their_name():
    assert examples().called(np.array([0, 2])) == "0, 3"
    named = examples(names=["sub-1", "sub-2", "sub-3 ses-1", "sub-4"])
    assert named.called(np.array([1, 2])) == "2 (sub-3 ses-1), 3 (sub-4)"


def test_history_counts_its_rows():
    assert History().epochs == 0
    assert History(table=[{}, {}]).epochs == 2


def test_everything_is_loaded_once_in_order_and_ahead_of_its_use():
    loaded, used = [], []
    for item, value in ahead(list(range(6)), lambda item: loaded.append(item) or item * 10):
        assert value == item * 10
        time.sleep(0.01)
        used.append(len(loaded))
    assert loaded == list(range(6))
    assert used == [2, 3, 4, 5, 6, 6]
    assert list(ahead([], lambda item: item)) == []


def test_the_one_before_is_used_while_the_next_is_loaded():
    started, main = threading.Event(), threading.get_ident()

    def load(item):
        assert threading.get_ident() != main
        if item == 1:
            started.set()
        return item

    for item, _ in ahead([0, 1], load):
        if item == 0:
            assert started.wait(5)


def test_an_error_while_loading_comes_where_the_item_would():
    def load(item):
        if item == 2:
            raise OSError("scan 2 is gone")
        return item

    seen = []

    def use():
        for item, _ in ahead([0, 1, 2, 3], load):
            seen.append(item)

    with pytest.raises(OSError, match="scan 2"):
        use()
    assert seen == [0, 1] or seen == [0]


def test_a_loop_that_ends_early_ends_its_thread():
    before = threading.active_count()
    for _ in ahead(list(range(100)), lambda item: item):
        break
    time.sleep(0.05)
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(("n", "n_validation"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_learn_from_or_to_choose_by(n, n_validation):
    parts = [examples(rows=range(count), labels=[1.0] * count) for count in (n, n_validation)]
    with pytest.raises(InputError, match=f"{n} for training and {n_validation} for validation"):
        require_examples(*parts)

"""Arrays in, numbers out: scores, permutation tests, intervals, cautions about samples."""

from neurotransfer.statistics.intervals import Summary, bootstrap_interval, summary
from neurotransfer.statistics.metrics import HEADLINE, SCORES, SELECTION, Score, scores
from neurotransfer.statistics.permutation import PairedTest, beats_next_best, holm, paired_test, pairwise_matrix
from neurotransfer.statistics.samples import bimodality, sample_notes

__all__ = [
    "HEADLINE",
    "SCORES",
    "SELECTION",
    "PairedTest",
    "Score",
    "Summary",
    "beats_next_best",
    "bimodality",
    "bootstrap_interval",
    "holm",
    "paired_test",
    "pairwise_matrix",
    "sample_notes",
    "scores",
    "summary",
]

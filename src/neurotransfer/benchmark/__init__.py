"""Learning curves of every strategy, by the talk's protocol."""

from neurotransfer.benchmark.plan import Cell, Plan
from neurotransfer.benchmark.run import Run, benchmark
from neurotransfer.benchmark.study import Study, parse_study, read_study

__all__ = ["Cell", "Plan", "Run", "Study", "benchmark", "parse_study", "read_study"]

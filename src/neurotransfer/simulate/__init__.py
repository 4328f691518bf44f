"""The stage `simulate`: heads with a known truth, as a cohort that every other stage can read."""

from neurotransfer.simulate.run import simulate

__all__ = ["simulate"]

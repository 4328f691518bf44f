"""Real people who judge features while a network learns from simulated heads; nothing is learnt from them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV

from neurotransfer.cohort import is_selection, read_cohort, store_volumes
from neurotransfer.errors import InputError
from neurotransfer.models.network import Network, normalise, panel_of
from neurotransfer.pretrain.study import RealPart, SimulatedStudy
from neurotransfer.seeding import stream
from neurotransfer.simulate.synthesis import Heads, SimulatedVolumes
from neurotransfer.statistics.standardise import standardiser, within_person_normaliser
from neurotransfer.targets import infer_target
from neurotransfer.training import current, features

PENALTIES = np.logspace(-2, 4, 25)
# so many scanners that hardly two people share one; all scans of a person are by one of them
SCANNERS = 1_000_000


def finished(study: SimulatedStudy, networks: Sequence[Network]) -> Network:
    """Networks that were trained alone as the finished model has them, ready to predict.

    Where its features are to be normalised, simulated people who were not learnt from are scanned twice. A person's
    scanner stays the same: the contrast that it gives is not to be forgotten.
    """
    part, heads = study.network, study.heads
    arguments, first = part.arguments, heads.validation + part.members * study.training.epochs * heads.an_epoch
    found = panel_of(networks, arguments, joined=part.joined, mirrored=part.mirrored, normalised=part.normalised).eval()
    if part.normalised:
        scanned = Heads(
            study.volume_grid, replace(heads.values, sites=SCANNERS), seed=study.seed, device=current().device
        )
        once, again = (
            features(found.encoder, SimulatedVolumes(scanned, first, heads.twice, number)) for number in (0, 1)
        )
        normalise(found, *within_person_normaliser(once, again))
    # looking at heads has brought a part of it to their device
    return found.cpu()


class RealPeople:
    """Real people who judge features: ridge regression on some of them, tried on the others.

    Raises:
        InputError: when their cohort is unusable, the target is no number, or they are fewer than a size.
    """

    def __init__(self, part: RealPart, data: Path, study: SimulatedStudy, cache: Path) -> None:
        options = part.model_dump(exclude={"path", "target", "share", "sizes", "draws"})
        cohort = read_cohort(data / part.path, **options, targets=[part.target])
        values = cohort.labels(infer_target(part.target, cohort.table, kind="continuous"))
        rows = np.flatnonzero(is_selection(cohort.participants, part.share, study.seed) & ~np.isnan(values))
        if len(rows) < max(part.sizes) + 2:
            raise InputError(
                f"{len(rows)} people of {cohort.name!r} judge the features, too few for sizes up to {max(part.sizes)}; use a "
                "larger share or smaller sizes"
            )
        self.part, self.study, self.values = part, study, values[rows]
        self.volumes = np.asarray(store_volumes(cache / "real", cohort, study.volume_grid)[rows], np.float32)

    def errors(self, networks: Sequence[Network]) -> dict[str, float]:
        """The mean absolute error on the features of networks side by side, by the number of people learnt from."""
        return self.errors_of(finished(self.study, networks))

    def errors_of(self, network: Network) -> dict[str, float]:
        """The same of a finished model."""
        found = features(network.encoder, self.volumes)
        return {f"real_mae_{n}": self._error(found, n) for n in self.part.sizes}

    def _error(self, found: np.ndarray, n: int) -> float:
        errors = []
        for draw in range(self.part.draws):
            order = stream(self.study.seed, "real people", n, draw).permutation(len(found))
            learn, judge = order[:n], order[n:]
            mean, scale = standardiser(found[learn], alike=True)
            ridge = RidgeCV(PENALTIES * max(1.0, found.shape[1] / 100)).fit(
                (found[learn] - mean) / scale, self.values[learn]
            )
            errors.append(np.abs(ridge.predict((found[judge] - mean) / scale) - self.values[judge]).mean())
        return float(np.mean(errors))

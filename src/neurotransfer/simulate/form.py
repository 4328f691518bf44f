"""How people's brains differ from the average one: where tissue lies, how much of which, how bright; at the knots of fields."""

import numpy as np
import torch
from torch import Tensor

from neurotransfer.cohort.grid import BRAIN_CENTRE_MM
from neurotransfer.cohort.regions import CORTEX, ONE_SIDED, REGIONS
from neurotransfer.simulate.appearance import BIAS_KNOTS, Scans, column, log_bias, tensor
from neurotransfer.simulate.atlas import CENTRES_MM, FIELD_KNOTS, KIND_OF_REGION, knots_mm, load_atlas, places_along
from neurotransfer.simulate.fields import Bank, Spread, everywhere, spread
from neurotransfer.simulate.traits import People
from neurotransfer.simulate.variety import Variety

LEFT_BY_REGISTRATION = 0.4
FINE_KNOTS = (22, 26, 22)
WIDE_KNOTS = (4, 5, 4)
# what is added to the level of lesions, in standard deviations of their field
LESION_THRESHOLD, LESION_NEAR, LESION_STEEPNESS = -2.7, 1.5, 4.0
# the trait that grey matter follows, by region; cortex follows thickness, and what is not named here `deep`
GREY_TRAIT = dict.fromkeys(CORTEX, "thickness") | {
    "hippocampus": "hippocampus",
    "amygdala": "hippocampus",
    "cerebellum": "cerebellum",
    "brainstem": "cerebellum",
}
GROWING = {"ventricle": "ventricles", "cerebellum": "cerebellum"}
ASYMMETRIC = ("superior_temporal", "inferior_frontal", "lateral_occipital")
KINDS = [list(ONE_SIDED)[kind] for kind in KIND_OF_REGION]


class Form:
    """The fields of people at knots; `Heads` spreads them over voxels.

    Args:
        variety: how much heads differ.
        device: where the fields are made.

    Example:
        >>> from neurotransfer.simulate.appearance import draw_scans
        >>> from neurotransfer.simulate.traits import draw_people
        >>> variety = Variety()
        >>> form, one = Form(variety, torch.device("cpu")), (0, [1], variety)
        >>> form.velocity(draw_people(*one), draw_scans(*one)).shape
        torch.Size([1, 3, 22, 26, 22])
    """

    def __init__(self, variety: Variety, device: torch.device) -> None:
        self.variety, self.device, self.bank = variety, device, Bank(device)
        atlas = load_atlas()
        self.weights, self.brightness = (torch.from_numpy(x).to(device) for x in (atlas.weights, atlas.brightness))
        self.fine_mm = torch.from_numpy(knots_mm(FINE_KNOTS).astype(np.float32)).to(device)
        self.coarse_to_fine = self.spread(FIELD_KNOTS, places_along(FINE_KNOTS))
        self.wide_to_fine = self.spread(WIDE_KNOTS, places_along(FINE_KNOTS))
        self.bias_to_coarse = self.spread(BIAS_KNOTS, places_along(FIELD_KNOTS))
        self.fine_weights = everywhere(self.weights[None], self.coarse_to_fine)[0]

    def spread(self, knots: tuple[int, int, int], places: list[np.ndarray]) -> Spread:
        """The weights of knots at places, on the device."""
        x, y, z = (weights.to(self.device) for weights in spread(knots, places, BRAIN_CENTRE_MM))
        return x, y, z

    def velocity(self, people: People, scans: Scans) -> Tensor:
        """The velocity (n, 3, 22, 26, 22) whose flow says where in the average brain tissue comes from, millimetres."""
        variety, device = self.variety, self.device
        amount = np.exp(0.4 * people.traits["folding"])
        wide, middle, fine = (
            self.bank.take(people.places[:, place], (3, *knots))
            for place, knots in enumerate((WIDE_KNOTS, FIELD_KNOTS, FINE_KNOTS))
        )
        field = everywhere(wide, self.wide_to_fine) + 0.5 * everywhere(middle, self.coarse_to_fine)
        field = (variety.warp_mm * field + variety.fold_mm * fine) * column(amount, device)
        relative = self.fine_mm - torch.tensor(BRAIN_CENTRE_MM, device=device).reshape(3, 1, 1, 1)
        # a larger head takes its tissue from nearer to the centre of the average one
        size = (0.7 * people.shape + people.traits["size"][:, None] * 0.7) * variety.shape
        size = size * (1 - 0.8 * scans.aligned)[:, None]
        field = field - tensor(size, device).reshape(-1, 3, 1, 1, 1) * relative
        turn = tensor(scans.turn, device)[:, :, None, None, None].expand(-1, -1, *FINE_KNOTS)
        field = field + torch.linalg.cross(turn, relative.expand_as(turn), dim=1)
        field = field + tensor(scans.offset, device).reshape(-1, 3, 1, 1, 1)
        if scans.distortion.any():
            field = field + column(scans.distortion, device) * relative * relative.square().sum(0) / 80**3
        growth = tensor(self._growth(people), device)
        centres = torch.from_numpy(CENTRES_MM.T).to(device)
        pushed = torch.cat([growth[:, None], growth[:, None] * centres], 1)
        pushed = torch.matmul(pushed, self.fine_weights.flatten(1)).reshape(-1, 4, *FINE_KNOTS)
        field = field - (pushed[:, :1] * self.fine_mm - pushed[:, 1:])
        return field * column(np.where(scans.registered, LEFT_BY_REGISTRATION, 1.0), device)

    def _growth(self, people: People) -> np.ndarray:
        growth = people.regional["growth"].copy()
        for place, (name, kind) in enumerate(zip(REGIONS, KINDS, strict=True)):
            if kind in GROWING:
                growth[:, place] += people.traits[GROWING[kind]]
            if kind in ASYMMETRIC:
                growth[:, place] += people.traits["asymmetry"] * (0.5 if name.startswith("left") else -0.5)
        return growth * self.variety.growth

    def fields(self, people: People, scans: Scans) -> Tensor:
        """At coarse knots (n, 5, 12, 14, 12): the logarithms of odds of fluid and of grey against white, signals, bias."""
        variety, own, traits = self.variety, people.regional, people.traits
        grey_trait = np.stack([traits[GREY_TRAIT.get(kind, "deep")] for kind in KINDS], 1)
        fluid_trait = np.stack([traits["ventricles" if kind == "ventricle" else "fluid"] for kind in KINDS], 1)
        grey = variety.tissue * grey_trait + variety.regional * own["thickness"] - 0.6 * people.atrophy
        white = variety.tissue * traits["white"][:, None] + variety.regional * own["white"]
        fluid = variety.tissue * fluid_trait + 1.3 * variety.regional * own["fluid"] + 0.3 * people.atrophy
        contrast = variety.contrast * traits["contrast"][:, None] + variety.regional_contrast * own["contrast"]
        signal = variety.regional_contrast * own["signal"]
        by_region = np.stack([fluid - white, grey - white, signal - 0.6 * contrast, 0.4 * contrast], 1)
        fields = torch.einsum("ncr,rxyz->ncxyz", tensor(by_region, self.device), self.weights)
        local = self.bank.take(people.places[:, 3], (3, *FIELD_KNOTS))
        scales = torch.tensor([variety.local, variety.local, variety.local_contrast], device=self.device)
        fields[:, :3] += local * scales.reshape(3, 1, 1, 1)
        # as much of the template's own brightness as differs between scanners
        shown = column(variety.brightness * (0.5 + scans.places[:, 1]), self.device)
        fields[:, 2:] += shown * self.brightness
        irregular = everywhere(tensor(scans.bias, self.device)[:, None], self.bias_to_coarse)[:, 0]
        return torch.cat([fields, log_bias(scans, irregular)[:, None]], 1)

    def lesion_level(self, people: People) -> Tensor | None:
        """The log-odds (n, 22, 26, 22) of diseased white matter, highest about the ventricles; None where no one's is."""
        if not people.lesions.any():
            return None
        near = self.fine_weights[[place for place, kind in enumerate(KINDS) if kind == "ventricle"]].sum(0)
        noise = self.bank.take(1 - people.places[:, 2], FINE_KNOTS)
        load = tensor(people.lesions, self.device).reshape(-1, 1, 1, 1)
        return LESION_STEEPNESS * (noise + LESION_NEAR * near + load + LESION_THRESHOLD)

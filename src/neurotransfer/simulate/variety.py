"""How different simulated heads are from each other: every range of anatomy and of appearance, as values."""

from dataclasses import dataclass, fields

from neurotransfer.errors import InputError, listed, unknown

# a field that is a probability or a share lies between 0 and 1; all others are 0 or more
SHARES = (
    "aligned",
    "registered",
    "cut",
    "cropped",
    "ghosts",
    "slices",
    "defaced",
    "skulls",
    "lesions",
    "focal",
    "anything",
)


@dataclass(frozen=True)
class Variety:
    """How much simulated heads differ; 0 switches a source of variation off.

    Tissue is exchanged on a logarithmic scale: 0.25 changes the odds of one tissue against another by a quarter. Signals
    are logarithms too: 0.05 is 5 %.

    Attributes:
        tissue: standard deviation of a person's grey, white and fluid odds, over the whole brain.
        regional: the same of one region; left and right share 0.8 of it.
        local: the same at knots 16 mm apart, without regard to regions.
        sulci: standard deviation of the odds of fluid from voxel to voxel: where furrows lie, as far as voxels show it.
        age: multiplies all curves of growth and decline.
        growth: by how much a region is larger or smaller, as a share of its extent.
        focal: probability that one region has lost much of its grey matter.
        lesions: probability, at the age of 70, of lesions in the white matter.
        shape: standard deviation of head size and proportions, as a share.
        aligned: share of heads that an affine registration has brought to one size and pose; the others vary fully.
        registered: share of the aligned heads that were bent to the template too, which leaves four tenths of their displacement.
        warp_mm: standard deviation of the smooth displacement, with a half of it at knots of 16 mm.
        fold_mm: standard deviation of the displacement at knots of 8 mm: folds that lie elsewhere.
        turn_degrees: standard deviation of the rotation that registration has left.
        contrast: standard deviation of the grey-white contrast over the whole brain.
        regional_contrast: the same of one region, and of its grey signal.
        local_contrast: of the grey signal at knots 16 mm apart.
        anything: share of heads whose tissues have any signals in any order, as in no T1-weighted image.
        brightness: how much of the local brightness of the T1 template shows, 1 as much as there.
        bias: standard deviation of the bias field.
        noise: largest standard deviation of the complex noise, as a share of white matter's signal (Rician magnitude).
        blur: largest standard deviation of the blur, voxels.
        slices: share of heads scanned in thick slices along one axis, up to 2.5 voxels.
        ghosts: share of heads with a motion ghost along the phase axis.
        distortion: largest radial displacement by gradient nonlinearity at 80 mm, mm.
        cut: share of heads whose lower part lies outside the field of view.
        cropped: share of heads whose top lies outside the field of view.
        defaced: share of heads whose lower front was taken away.
        rim_mm: standard deviation of how far the brain mask lies off the brain's surface.
        halo: width of the Gaussian under which the brain mask lies, voxels at half its height; 0: an edge one voxel wide.
        skulls: share of heads that are not skull-stripped.
        sites: number of scanners; 0: every head has a scanner of its own.

    Raises:
        InputError: with every value that cannot be.

    Example:
        >>> Variety(noise=0).noise
        0
    """

    tissue: float = 0.25
    regional: float = 0.35
    local: float = 0.4
    sulci: float = 0.0
    age: float = 1.0
    growth: float = 0.05
    focal: float = 0.1
    lesions: float = 0.3
    shape: float = 0.04
    aligned: float = 0.7
    registered: float = 0.0
    warp_mm: float = 2.0
    fold_mm: float = 1.2
    turn_degrees: float = 2.0
    contrast: float = 0.04
    regional_contrast: float = 0.05
    local_contrast: float = 0.04
    anything: float = 0.0
    brightness: float = 1.0
    bias: float = 0.05
    noise: float = 0.02
    blur: float = 0.5
    slices: float = 0.1
    ghosts: float = 0.1
    distortion: float = 1.0
    cut: float = 0.5
    cropped: float = 0.0
    defaced: float = 0.1
    rim_mm: float = 1.5
    halo: float = 0.0
    skulls: float = 0.0
    sites: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {'from 0 to 1' if name in SHARES else '0 or more'}, got {value!r}"
            for name, value in vars(self).items()
            if not 0 <= value <= (1 if name in SHARES else 1e6)
        ]
        if self.sites != int(self.sites):
            problems.append(f"sites is a whole number, got {self.sites!r}")
        if problems:
            raise InputError(listed("the variety of simulated heads", problems))


NAMES = tuple(field.name for field in fields(Variety))
PRESETS: dict[str, Variety] = {
    "t1w": Variety(),
    "any-contrast": Variety(anything=1.0, bias=0.2, noise=0.08, blur=1.0),
    "whole-head": Variety(skulls=1.0, cut=0.0),
    "plain": Variety(anything=0, bias=0, noise=0, blur=0, slices=0, ghosts=0, distortion=0, cut=0, defaced=0, rim_mm=0),
}


def preset_variety(name: str) -> Variety:
    """A named variety: `t1w` (the default), `any-contrast`, `whole-head` or `plain` (anatomy alone varies).

    Raises:
        InputError: for another name.

    Example:
        >>> preset_variety("plain").noise
        0
    """
    if name not in PRESETS:
        raise InputError(unknown("variety", name, PRESETS))
    return PRESETS[name]

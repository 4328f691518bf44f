"""Heads whose every part is known: the average brain with brightness of our own, laid anywhere on any voxels."""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from nibabel import orientations
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurotransfer.cohort.mni import average_brain
from neurotransfer.prepare.scan import Scan
from neurotransfer.prepare.steps import reorient

# brightness of fluid, grey and white matter in a T1-weighted scan, and in a T2-weighted one
T1, T2 = (30.0, 70.0, 110.0), (110.0, 70.0, 45.0)
SCALP, SKULL_MM, SCALP_MM = 95.0, 8.0, 16.0
PAIRS = (("L", "R"), ("P", "A"), ("I", "S"))
ORIENTATIONS = [
    "".join(pair[side] for pair, side in zip(order, sides, strict=True))
    for order in permutations(PAIRS)
    for sides in product((0, 1), repeat=3)
]


@dataclass(frozen=True, eq=False)
class Head:
    """A phantom: its `voxels` and `affine`, its true `brain`, true shares of `tissues` (3, ...), and where MNI152 lies in it.

    `to_template` (4, 4) takes its millimetres to those of MNI152.
    """

    voxels: np.ndarray
    affine: np.ndarray
    brain: np.ndarray
    tissues: np.ndarray
    to_template: np.ndarray

    @property
    def voxel_mm3(self):
        return abs(np.linalg.det(self.affine[:3, :3]))

    def scan(self, *properties, brain=True):
        """The phantom as a scan on its way, with its true brain unless that is to be found."""
        return Scan(self.voxels, self.affine, self.brain if brain else None, properties=frozenset(properties))

    def reoriented(self, codes):
        """The same head in the same place, its axes stored in another order."""
        return Head(
            self._turned(self.voxels, codes),
            self.affine @ orientations.inv_ornt_aff(self._turn(codes), self.voxels.shape),
            self._turned(self.brain, codes),
            np.stack([self._turned(tissue, codes) for tissue in self.tissues]),
            self.to_template,
        )

    def relabelled(self, degrees):
        """The same voxels with a header that takes its axes for others: turned by `degrees` (x, y, z) about the origin."""
        wrong = np.eye(4)
        wrong[:3, :3] = np.rint(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())
        return Head(self.voxels, wrong @ self.affine, self.brain, self.tissues, self.to_template @ np.linalg.inv(wrong))

    def _turn(self, codes):
        return orientations.ornt_transform(
            orientations.io_orientation(self.affine), orientations.axcodes2ornt(tuple(codes))
        )

    def _turned(self, values, codes):
        return np.ascontiguousarray(orientations.apply_orientation(values, self._turn(codes)))


def known_affine(degrees=(0, 0, 0), scale=1.0, shift_mm=(0, 0, 0)):
    """Millimetres of MNI152 to those of a scan: scaled (by one number or three), turned about x, y and z, moved (4, 4)."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(np.broadcast_to(np.asarray(scale, float), 3))
    affine[:3, 3] = shift_mm
    return affine


def random_affine(seed, degrees=15, scale=0.15, shift_mm=30):
    """An affine drawn by its seed within these bounds."""
    generator = np.random.default_rng(seed)
    return known_affine(
        generator.uniform(-degrees, degrees, 3),
        1 + generator.uniform(-scale, scale, 3),
        generator.uniform(-1, 1, 3) * shift_mm,
    )


def head(
    to_scan=None,
    sides_mm=2.0,
    *,
    shape=None,
    brightness=T1,
    skull=False,
    noise=0.02,
    air=0.0,
    bias=0.0,
    codes="RAS",
    seed=0,
):
    """A phantom that is the same for the same arguments.

    Args:
        to_scan: millimetres of MNI152 to those of the scan, see `known_affine`.
        sides_mm: of a voxel, one number or three.
        shape: of the volume; large enough for the head when not given, around its middle.
        brightness: of fluid, grey and white matter.
        skull: whether a dark skull and a bright scalp lie around the brain.
        noise: its standard deviation as a share of the brightest tissue, within the head.
        air: the scale of the Rayleigh noise of the air as a share of the brightest tissue; 0 leaves it zero.
        bias: how much a smooth field makes the brain brighter at one end than at the other: exp(bias) times.
        codes: the orientation in which it is stored.
        seed: of the noise.
    """
    to_scan, sides = np.eye(4) if to_scan is None else to_scan, np.broadcast_to(np.asarray(sides_mm, float), 3)
    affine, shape = _grid(to_scan, sides, shape)
    to_template = np.linalg.inv(to_scan)
    tissues = np.stack([_sampled(share, to_template @ affine, shape) for share in _shares()])
    total = tissues.sum(0)
    brain = total > 0.5
    # the edge of the brain is sharp: its voxels are as bright as those within
    tissues = np.where(brain, tissues / np.maximum(total, 0.5), 0)
    voxels = np.tensordot(brightness, tissues, 1)
    if skull:
        away = ndimage.distance_transform_edt(~brain, sampling=sides)
        voxels[(away > SKULL_MM) & (away <= SCALP_MM)] = SCALP
    voxels *= np.exp(bias * _slope(to_template @ affine, shape))
    generator, most = np.random.default_rng(seed), max(brightness)
    inside = voxels > 0
    voxels[inside] += generator.normal(0, noise * most, inside.sum()) if noise else 0
    if air:
        voxels[~inside] = generator.rayleigh(air * most, (~inside).sum())
    made = Head(np.maximum(voxels, 0).astype(np.float32), affine, brain, tissues.astype(np.float32), to_template)
    return made if codes == "RAS" else made.reoriented(codes)


def _shares():
    average = average_brain(2)
    return average.fluid, average.grey, average.white


def _grid(to_scan, sides, shape):
    average = average_brain(2)
    inside = np.argwhere(average.mask) @ average.affine[:3, :3].T + average.affine[:3, 3]
    places = inside @ to_scan[:3, :3].T + to_scan[:3, 3]
    low, high = places.min(0), places.max(0)
    if shape is None:
        shape = tuple(int(side) for side in np.ceil((high - low + 50) / sides))
    affine = np.diag([*sides, 1.0])
    affine[:3, 3] = (low + high) / 2 - sides * (np.array(shape) - 1) / 2
    return affine, shape


def _sampled(values, place, shape):
    """Values of the average brain at the voxels of a scan; written anew so that it does not rest on what it tests."""
    back = np.linalg.inv(average_brain(2).affine) @ place
    points = np.indices(shape).reshape(3, -1)
    points = back[:3, :3] @ points + back[:3, 3:]
    return ndimage.map_coordinates(values, points, order=1).reshape(shape)


def _slope(place, shape):
    """From about -1/2 to 1/2 over a brain, smooth and the same along none of the three axes."""
    x, y, z = np.moveaxis(np.moveaxis(np.indices(shape), 0, -1) @ place[:3, :3].T + place[:3, 3], -1, 0)
    return np.sin(x / 75) * 0.2 + np.sin((y + 18) / 90) * 0.25 + np.cos((z - 10) / 60) * 0.2


def simple(shape=(20, 24, 22), sides_mm=(4.0, 4.0, 4.0), codes="RAS", seed=0, **fields):
    """A scan whose voxels are chance, with a box of brain."""
    voxels = np.random.default_rng(seed).uniform(1, 100, shape).astype(np.float32)
    brain = np.zeros(shape, bool)
    brain[4:-4, 4:-4, 4:-4] = True
    affine = np.diag([*sides_mm, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * sides_mm
    scan = Scan(voxels, affine, brain, **fields)
    return scan if codes == "RAS" else reorient(scan, codes)


def line_of(scan, step):
    """What the log of a scan says of a step."""
    return next(line for line in scan.log if line["Step"] == step)

"""Several posed copies of an explicit template, seen by the real camera: a differentiable scene.

The scene's frame is right-handed: its origin is the middle of the bin's floor, x goes to the
right of the crop, y up the crop (against its rows), z up from the floor; metres. An image holds
heights above the floor, its pixels are points of the floor, and a ray goes from the camera's
optical centre to each of them: the crop of the bin (`insegan_ros.crop`), true perspective.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from insegan_ros.bin import Bin
from insegan_ros.crop import CropConfig, floor_square
from insegan_ros.model.explicit import EMPTY, EMPTY_LOGIT, Template, TemplateError
from insegan_ros.types import DepthFrame

LEAST_VOXELS = 60  # of a template that can be posed: fewer show no shape
SEEN_M = 0.003  # above the floor: what crops show of parts
OPAQUE = 0.9999  # of a full voxel: gradients pass


@dataclass(frozen=True)
class SceneView:
    """Where the camera is, and what its crop of the bin shows."""

    crop: CropConfig
    apex: tuple[float, float, float]  # the optical centre in the scene's frame, m

    @staticmethod
    def of(frames: Sequence[tuple[DepthFrame, Bin]], crop: CropConfig) -> SceneView:
        """The median of some frames of a camera that does not move."""
        found = []
        for frame, bin in frames:
            centre, axes = floor_square(frame, bin)
            x, y = -(axes @ centre)
            found.append((x, -y, bin.floor.offset))
        x, y, z = np.median(np.array(found), axis=0).tolist()
        return SceneView(crop, (x, y, z))

    @property
    def pixel_m(self) -> float:
        return self.crop.side_m / self.crop.size

    def heights(self, images: Tensor) -> Tensor:
        """Crops in [-1, 1] -> metres above the floor."""
        return (images + 1) * (self.crop.height_m / 2)


@dataclass(frozen=True)
class Poses:
    """B scenes of N instances each."""

    rotation: Tensor  # (B, N, 3, 3) scene_R_template
    position: Tensor  # (B, N, 3) of the template's centre, m
    present: Tensor  # (B, N) in [0, 1]: how far each one is there


@dataclass(frozen=True)
class Rendered:
    """Each instance of B scenes alone, S pixels a side."""

    silhouette: Tensor  # (B, N, S, S) in [0, 1], times `present`
    height: Tensor  # (B, N, S, S) metres above the floor where the silhouette is not 0


@dataclass(frozen=True)
class Solid:
    """What of a template does not depend on gradients: where it is at all."""

    hull: Tensor  # (H, 3) corners of its occupied voxels' convex hull, m
    surface: Tensor  # (M, 3) points of its surface, m
    radius_m: float  # around the grid's centre

    @staticmethod
    def of(logits: Tensor, voxel_m: float, generator: torch.Generator, points: int = 400) -> Solid:
        """Raises: TemplateError, where too few voxels are occupied to be a shape."""
        occupied = logits.detach().cpu() > 0
        count = int(occupied.sum())
        if count < LEAST_VOXELS:
            raise TemplateError(
                f'only {count} voxels of the template are occupied, at least {LEAST_VOXELS} are '
                'needed: discover it again from more frames, or begin with --init blob'
            )
        centre = (logits.shape[0] - 1) / 2
        inner = F.avg_pool3d(occupied[None, None].float(), 3, 1, 1)[0, 0] > 0.999
        voxels = (torch.nonzero(occupied) - centre) * voxel_m
        shell = (torch.nonzero(occupied & ~inner) - centre) * voxel_m
        corner = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        corners = (shell[:, None] + corner * voxel_m / 2).reshape(-1, 3)
        with contextlib.suppress(QhullError):  # flat: all of them then
            corners = corners[torch.from_numpy(ConvexHull(corners.numpy()).vertices).long()]
        chosen = torch.randint(len(shell), (points,), generator=generator)
        jitter = (torch.rand(points, 3, generator=generator) - 0.5) * voxel_m
        radius = float(voxels.norm(dim=1).max()) + voxel_m
        device = logits.device
        return Solid(corners.to(device), (shell[chosen] + jitter).to(device), radius)

    def support(self, rotation: Tensor) -> Tensor:
        """(..., 3, 3) -> (...) metres from the template's lowest point up to its centre."""
        return -(rotation[..., 2, :] @ self.hull.T).amin(dim=-1)

    def reach(self, rotation: Tensor) -> Tensor:
        """(..., 3, 3) -> (..., 2) metres from its centre to its outermost point in x and in y."""
        return (rotation[..., :2, :] @ self.hull.T).abs().amax(dim=-1)


def bounded(rotation: Tensor, raw: Tensor, solid: Solid, view: SceneView) -> Tensor:
    """(..., 3, 3) rotations and (..., 3) numbers of any size -> (..., 3) positions in the bin.

    x and y are within the crop's square by tanh; each instance rests on or above the floor: the
    support of the turned template and a lift of at most the crop's height.
    """
    half = view.crop.side_m / 2
    lift = view.crop.height_m * torch.sigmoid(raw[..., 2:])
    return torch.cat([half * raw[..., :2].tanh(), solid.support(rotation)[..., None] + lift], -1)


def rotation_from_six(six: Tensor) -> Tensor:
    """(..., 6) -> (..., 3, 3): two columns made orthonormal, and their product (Zhou 2019)."""
    a, b = six[..., :3], six[..., 3:]
    x = F.normalize(a, dim=-1)
    y = F.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def render_instances(
    occupancy: Tensor, voxel_m: float, poses: Poses, radius_m: float, view: SceneView, samples: int
) -> Rendered:
    """Every instance alone, by front-to-back compositing along the camera's rays.

    Differentiable in the occupancy, rotations, positions and presence. Only a window around each
    instance is marched through.

    Args:
        occupancy: (G, G, G) in [0, 1].
        radius_m: of a ball around the template's centre that holds all that is occupied.
        samples: along a ray through the ball.
    """
    batch, count = poses.position.shape[:2]
    grid, size, pixel = occupancy.shape[0], view.crop.size, view.pixel_m
    rotation, position = poses.rotation.flatten(0, 1), poses.position.flatten(0, 1)  # M = B N
    apex = position.new_tensor(view.apex)
    high = min(float(position[:, 2].detach().max()) + radius_m, 0.8 * float(apex[2]))
    scale = float(apex[2]) / (float(apex[2]) - high)  # of the nearest instance
    window = min(size, int(np.ceil(2 * radius_m * scale / pixel)) + 3)
    with torch.no_grad():
        near = (apex[2] - position[:, 2:]).clamp(min=0.1 * float(apex[2]))
        foot = apex[:2] + (position[:, :2] - apex[:2]) * apex[2] / near
        middle = torch.stack([-foot[:, 1], foot[:, 0]], dim=1) / pixel + (size - 1) / 2
        corner = (middle - (window - 1) / 2).round().long().clamp(0, size - window)
    line = torch.arange(window, device=position.device)
    rows, columns = corner[:, :1] + line, corner[:, 1:] + line  # (M, W)
    y = -(rows - (size - 1) / 2) * pixel
    x = (columns - (size - 1) / 2) * pixel
    floor = torch.stack([x[:, None].expand(-1, window, -1), y[..., None].expand(-1, -1, window)])
    slope = (floor.permute(1, 2, 3, 0).flatten(1, 2) - apex[:2]) / apex[2]  # (M, W W, 2)
    # at height z a ray is at apex + slope (apex_z - z); z = centre + u
    at = apex[:2] + slope * (apex[2] - position[:, None, 2:]) - position[:, None, :2]
    start = F.pad(at, (0, 1))
    along = torch.cat([-slope, torch.ones_like(slope[..., :1])], dim=-1)
    half = grid * voxel_m / 2
    start, along = start @ rotation / half, along @ rotation / half  # R^T p, as rows
    u = radius_m * (1 - (torch.arange(samples, device=at.device) + 0.5) * 2 / samples)
    points = start[:, None] + along[:, None] * u[:, None, None]  # (M, D, W W, 3), top down
    logits = torch.logit(occupancy, EMPTY) - EMPTY_LOGIT  # linear between voxels, 0 outside
    volume = logits.permute(2, 1, 0).expand(len(points), 1, grid, grid, grid)  # z, y, x
    found = F.grid_sample(volume, points[:, :, :, None], align_corners=False)[:, 0, ..., 0]
    alpha = torch.sigmoid(found + EMPTY_LOGIT)
    clear = torch.cumprod(1 - OPAQUE * alpha, dim=1)
    before = torch.cat([torch.ones_like(clear[:, :1]), clear[:, :-1]], dim=1)
    weight = before - clear  # (M, D, W W)
    found = 1 - clear[:, -1]
    height = torch.einsum('mdp,d->mp', weight, u) / found.clamp(min=1e-4) + position[:, 2:]
    cells = (rows[..., None] * size + columns[:, None]).flatten(1)
    blank = found.new_zeros(len(found), size * size)
    shape = (batch, count, size, size)
    silhouette = blank.scatter(1, cells, found).reshape(shape)
    height = blank.scatter(1, cells, height.clamp(min=0)).reshape(shape)
    return Rendered(silhouette * poses.present[..., None, None], height)


def compose(rendered: Rendered) -> tuple[Tensor, Tensor, Tensor]:
    """The instances over each other and over the floor, the highest in front.

    Returns:
        heights (B, S, S) in metres, silhouette (B, S, S), and each instance's visible share of
        every pixel (B, N, S, S). The order of the instances has no effect.
    """
    order = rendered.height.detach().argsort(dim=1, descending=True)
    alpha = rendered.silhouette.gather(1, order)
    through = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], dim=1)
    seen = alpha * before
    height = (seen * rendered.height.gather(1, order)).sum(dim=1)
    visible = torch.zeros_like(seen).scatter(1, order, seen)
    return height, 1 - through[:, -1], visible


def rerendering_loss(heights: Tensor, silhouette: Tensor, real: Tensor, unit_m: float) -> Tensor:
    """(B,) difference of heights in `unit_m` and of silhouettes, a share of the known pixels.

    `real` is NaN where nothing is known: not measured, or hidden by the bin's walls.
    """
    known = real.isfinite()
    real = real.nan_to_num()
    off = ((heights - real).abs() / unit_m).clamp(max=1.5)
    wrong = (off + (silhouette - (real > SEEN_M).float()).abs()) * known
    return wrong.sum((1, 2)) / known.sum((1, 2)).clamp(min=1)


def rerendering_error(heights: Tensor, real: Tensor) -> Tensor:
    """(B,) metres: mean difference of (B, S, S) heights where the real ones are known."""
    known = real.isfinite()
    return ((heights - real.nan_to_num()).abs() * known).sum((1, 2)) / known.sum((1, 2)).clamp(1)


def checked(template: Template) -> Template:
    """Raises: TemplateError, for a template that cannot be posed."""
    grid = template.logits.shape[0]
    if grid < 8:
        raise TemplateError(f'the template has {grid} voxels a side; at least 8 are needed')
    logits = torch.from_numpy(np.ascontiguousarray(template.logits, np.float32))
    Solid.of(logits, template.voxel_m, torch.Generator().manual_seed(0))
    return template


def blob(length_m: float, grid: int, generator: torch.Generator) -> Template:
    """A lumpy ball to begin with where no part is ever seen alone; `length_m`: the part's."""
    line = ((torch.arange(grid) + 0.5) / grid - 0.5) * 2
    x, y, z = torch.meshgrid(line, line, line, indexing='ij')
    noise = torch.randn(1, 1, 5, 5, 5, generator=generator)
    noise = F.interpolate(noise, size=(grid,) * 3, mode='trilinear')[0, 0]
    radius = (x * x + y * y + z * z).sqrt()
    logits = 8 * (0.45 - radius) + noise
    return Template(logits.numpy().astype(np.float32), 1.25 * length_m / grid)

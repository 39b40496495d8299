"""Our reconstruction of Wu et al. (ICCV Workshops 2019), of which no code is public.

From its abstract and from what the InSeGAN paper says of it: a network gives n rigid motions, one
template of points is learned and shared by all, points that the camera cannot see are removed, and
the Chamfer distance to the observed points is the loss. A pixel belongs to the copy whose visible
point is nearest. Sizes, the removal of hidden points by a grid of columns, and the penalty for
points under the floor are ours. It falls into local minima, so training begins several times and
goes on with the start of the lowest loss (`learn.learned`).

Lengths are in halves of the crop's side, x and y from its middle, z up from the floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insegan_ros.baselines.learned.decomposer import Decomposer, coordinates, part_mask
from insegan_ros.crop import HIGH, LOW

FAR = 1e3  # what a hidden point's squared distance counts as
TINY = 1e-6  # under the root: its gradient at 0 is infinite
SHORT = 1e-2  # shorter columns of a rotation are not made longer: their gradient would explode


@dataclass(frozen=True)
class WuConfig:
    """Sizes, and the geometry of crop and camera."""

    instances: int = 5
    image_size: int = 64  # px, a multiple of 16
    points: int = 256  # of the template
    samples: int = 384  # observed points an image that a step looks at
    columns: int = 24  # of the grid by which hidden points are removed, along a side
    camera: float = 10.0  # height above the floor
    height: float = 1.7  # of the highest that the crop codes
    under_floor: float = 1.0  # weight of the mean depth of points under the floor

    def __post_init__(self) -> None:
        if self.image_size % 16 or min(self.instances, self.points, self.samples) < 1:
            raise ValueError(
                f'image_size {self.image_size}: a multiple of 16 is expected; instances '
                f'{self.instances}, points {self.points}, samples {self.samples}: at least 1'
            )
        if not self.camera > self.height > 0:
            raise ValueError(
                f'camera {self.camera}, height {self.height}: the camera is expected above the '
                'parts'
            )


class Wu(Decomposer):
    """Pose network and template."""

    def __init__(self, config: WuConfig) -> None:
        super().__init__()
        self.config = config
        self.noise_shape = (config.samples,)
        self.template = nn.Parameter(0.25 * torch.randn(config.points, 3))
        self.poses = PoseNetwork(config)
        self.register_buffer('grid', coordinates(config.image_size), persistent=False)
        self.grid: Tensor

    def losses(self, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Chamfer distance and depth under the floor, in halves of the crop's side."""
        copies = self.copies(images)  # (B, N * P, 3)
        with torch.autocast(images.device.type, enabled=False):
            seen = self.visible(copies)
            observed, weight = self.sample(images, noise)
            chamfer = chamfer_distance(copies, seen, observed, weight=weight)
            under = F.relu(-copies[..., 2]).mean()
            total = chamfer + self.config.under_floor * under
        return {'total': total, 'chamfer': chamfer, 'under': under}

    def copies(self, images: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B, N * P, 3): the template under each rigid motion."""
        rotation, translation = self.poses(images)
        with torch.autocast(images.device.type, enabled=False):
            turned = torch.einsum('bnij,pj->bnpi', rotation, self.template)
            return (turned + translation[:, :, None]).flatten(1, 2)

    @torch.no_grad()
    def visible(self, points: Tensor) -> Tensor:
        """(B, M, 3) -> (B, M) bool: nearly the highest of those in the same column of sight."""
        g = self.config.columns
        cell = ((self.on_floor(points) + 1) * (g / 2)).floor().long()
        inside = ((cell >= 0) & (cell < g)).all(-1)
        index = (cell[..., 0] * g + cell[..., 1]).clamp(0, g * g - 1)
        height = torch.where(inside, points[..., 2], -FAR)
        lowest = torch.full((len(points), g * g), -FAR, device=points.device)
        highest = lowest.scatter_reduce(1, index, height, 'amax')
        return ~inside | (height > highest.gather(1, index) - 2 / g)

    def on_floor(self, points: Tensor) -> Tensor:
        """(..., 3) -> (..., 2): where the camera sees them against the floor."""
        camera = self.config.camera
        below = (camera - points[..., 2:]).clamp(min=0.1 * camera)
        return points[..., :2] * (camera / below)

    def observed(self, images: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B, S * S, 3): every pixel's point."""
        share = ((images[:, 0].float() - LOW) / (HIGH - LOW)).clamp(0, 1)
        z = share * self.config.height
        xy = self.grid * (1 - z / self.config.camera)[:, None]  # (B, 2, S, S)
        return torch.cat([xy, z[:, None]], dim=1).flatten(2).transpose(1, 2)

    def sample(self, images: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Points of parts (B, M, 3), drawn with repetition, and (B,): 1 where there are any."""
        counted = part_mask(images).flatten(1).cumsum(dim=1)  # (B, S * S)
        count = counted[:, -1:]
        wanted = (torch.special.ndtr(noise.float()) * count).long() + 1
        index = torch.searchsorted(counted, wanted).clamp(max=counted.shape[1] - 1)
        points = self.observed(images).gather(1, index[..., None].expand(-1, -1, 3))
        return points, (count[:, 0] > 0).float()

    @torch.no_grad()
    def parts(self, images: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002 - nothing is random
        """(B, 1, S, S) -> (B, n, S, S), 0 or 1: which copy's visible point is nearest."""
        copies = self.copies(images).float()
        seen, observed = self.visible(copies), self.observed(images)
        nearest = [  # one image after another: all pixels against all points
            (distances(o[None], c[None]) + FAR * ~s).argmin(dim=2)
            for o, c, s in zip(observed, copies, seen)
        ]
        copy = torch.cat(nearest) // self.config.points  # (B, S * S)
        size = self.config.image_size
        one_hot = F.one_hot(copy, self.config.instances).float()
        return one_hot.transpose(1, 2).unflatten(2, (size, size))


class PoseNetwork(nn.Module):
    """(B, 1, S, S) -> rotations (B, N, 3, 3) and translations (B, N, 3)."""

    def __init__(self, config: WuConfig) -> None:
        super().__init__()
        self._instances, self._height = config.instances, config.height
        layers: list[nn.Module] = []
        before = 1
        for channels in (32, 64, 128, 96):
            layers += [nn.Conv2d(before, channels, 4, 2, 1), nn.GroupNorm(8, channels), nn.ReLU()]
            before = channels
        side = config.image_size // 16
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(before * side * side, 256), nn.ReLU()
        )
        self.head = nn.Linear(256, 9 * config.instances)
        with torch.no_grad():  # copies begin apart, each turned its own way
            self.head.bias.copy_(torch.randn(9 * config.instances) * 0.7)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) -> (B, N, 3, 3) and (B, N, 3)."""
        raw = self.head(self.layers(images)).float().unflatten(1, (self._instances, 9))
        top = raw[..., 2:3].sigmoid() * self._height
        translation = torch.cat([raw[..., :2].tanh(), top], dim=-1)
        return rotation_of_six(raw[..., 3:]), translation


def rotation_of_six(six: Tensor) -> Tensor:
    """(..., 6) -> (..., 3, 3): two columns made orthonormal (Zhou et al. 2019).

    Where a column is shorter than SHORT, or both point the same way, it is no rotation, but what
    it is and its gradient stay finite and small.
    """
    x = F.normalize(six[..., :3], dim=-1, eps=SHORT)
    y = six[..., 3:] - (x * six[..., 3:]).sum(-1, keepdim=True) * x
    y = F.normalize(y, dim=-1, eps=SHORT)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared, of (B, M, 3) to (B, L, 3): (B, M, L)."""
    squares = a.square().sum(-1)[..., None] + b.square().sum(-1)[:, None]
    return (squares - 2 * a @ b.transpose(1, 2)).clamp(min=0)


def chamfer_distance(points: Tensor, seen: Tensor, observed: Tensor, *, weight: Tensor) -> Tensor:
    """Mean distance of observed points to visible ones, and of visible ones to observed ones.

    Args:
        points: (B, L, 3); seen: (B, L) bool, those that count.
        observed: (B, M, 3); weight: (B,) of each image.
    """
    squared = distances(observed, points)  # (B, M, L)
    to_seen = (squared + FAR * ~seen[:, None]).min(dim=2).values
    to_observed = squared.min(dim=1).values
    explained = (to_seen + TINY).sqrt().mean(dim=1)
    counted = seen.float()
    needed = ((to_observed + TINY).sqrt() * counted).sum(1) / counted.sum(1).clamp(min=1)
    return (weight * (explained + needed)).mean()

"""The explicit template: an occupancy grid in metres, and height maps of it under any rotation.

Frame of a template: its grid's centre is the origin, axes 0, 1, 2 of the grid are x, y, z. Views
look down the z axis of the rotated part: rows of an image are y, columns x, values z upwards.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
import yaml
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError, distance
from skimage import measure
from torch import Tensor
from torch.nn import functional

from insegan_ros import tensors
from insegan_ros.files import write_atomically

WEIGHTS = 'template.safetensors'
CARD = 'template.yaml'
EMPTY = 1e-4  # occupancy around the grid
EMPTY_LOGIT = math.log(EMPTY / (1 - EMPTY))


class TemplateError(ValueError):
    """A template that cannot be loaded or used; the message says what to do."""


@dataclass(frozen=True)
class Template:
    """A part as occupancy in a cube of voxels."""

    logits: NDArray[np.float32]  # (G, G, G), occupancy = sigmoid; indices are x, y, z
    voxel_m: float  # side of a voxel, metres
    account: dict[str, Any] = field(default_factory=dict)  # how well it explains its data

    def __post_init__(self) -> None:
        shape = self.logits.shape
        if len(shape) != 3 or len(set(shape)) != 1 or not np.isfinite(self.logits).all():
            raise TemplateError(f'logits are {shape}; a cube (G, G, G) of finite values is needed')
        if not self.voxel_m > 0:
            raise TemplateError(f'voxel_m is {self.voxel_m}; a length in metres is needed')

    @property
    def occupancy(self) -> NDArray[np.float32]:
        """(G, G, G) in [0, 1]."""
        return (1 / (1 + np.exp(-np.clip(self.logits, -30, 30)))).astype(np.float32)

    @property
    def diameter_m(self) -> float:
        """Greatest distance between two of its surface's points, metres.

        Raises:
            TemplateError: no voxel is occupied.
        """
        vertices = self.mesh().vertices
        with contextlib.suppress(QhullError):  # flat: all its vertices then
            vertices = vertices[ConvexHull(vertices).vertices]
        return float(distance.pdist(vertices).max())

    def mesh(self) -> trimesh.Trimesh:
        """The surface at occupancy 0.5 in metres, watertight: the largest connected solid's.

        Raises:
            TemplateError: no voxel is occupied.
        """
        occupancy = self.occupancy
        areas, count = ndimage.label(occupancy > 0.5)
        if not count:
            raise TemplateError('the template is empty; discover it again, from more frames')
        largest = np.argmax(np.bincount(areas.ravel())[1:]) + 1
        apart = (areas > 0) & (areas != largest)
        logits = np.clip(np.where(apart, EMPTY_LOGIT, self.logits), EMPTY_LOGIT, -EMPTY_LOGIT)
        padded = np.pad(logits, 1, constant_values=EMPTY_LOGIT)
        vertices, faces, _, _ = measure.marching_cubes(padded, 0, gradient_direction='ascent')
        centre = (np.array(padded.shape) - 1) / 2
        mesh = trimesh.Trimesh((vertices - centre) * self.voxel_m, faces, process=True)
        if mesh.volume < 0:
            mesh.invert()
        return mesh

    def save(self, folder: Path | str) -> None:
        """Write template.safetensors and template.yaml into a folder, made where absent."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        logits = np.ascontiguousarray(self.logits, np.float32)
        write_atomically(folder / WEIGHTS, tensors.save({'logits': logits}))
        card = {'voxel_m': float(self.voxel_m), 'account': self.account}
        # last: a folder with a card is whole
        write_atomically(folder / CARD, yaml.safe_dump(card, sort_keys=False).encode())

    @staticmethod
    def load(folder: Path | str) -> Template:
        """Raises: TemplateError, for a folder that is absent, incomplete or damaged."""
        folder = Path(folder)
        try:
            card = yaml.safe_load((folder / CARD).read_text())
            logits = tensors.load(folder / WEIGHTS)['logits']
            return Template(logits, float(card['voxel_m']), dict(card['account']))
        except TemplateError:
            raise
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise TemplateError(
                f'{folder} holds no whole template ({CARD}, {WEIGHTS}): {error}'
            ) from None


@dataclass(frozen=True)
class Views:
    """Orthographic views of a template under B rotations, P pixels over the grid's width."""

    silhouette: Tensor  # (B, P, P) in [0, 1]
    height: Tensor  # (B, P, P) metres above the grid's centre, times the silhouette


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """(count, 3, 3), uniform over SO(3)."""
    q = torch.randn(count, 4, generator=generator)
    w, x, y, z = functional.normalize(q, dim=1).unbind(1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def rotation_from_vector(vector: Tensor) -> Tensor:
    """(B, 3) axis times angle in radians -> (B, 3, 3); differentiable, also at zero."""
    x, y, z = vector.unbind(1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(skew)


def render(
    occupancy: Tensor, voxel_m: float, rotations: Tensor, *, shifts: Tensor | None, pixels: int
) -> Views:
    """Front-to-back compositing straight down, differentiable in everything but the sizes.

    Voxels whose occupancy is within 1e-4 of 0 or 1 are settled: no gradient reaches them.

    Args:
        occupancy: (G, G, G) in [0, 1].
        rotations: (B, 3, 3) view_R_template.
        shifts: (B, 2) metres along the view's x and y, or None.
        pixels: P; a pixel's side is G * voxel_m / P.
    """
    grid = occupancy.shape[0]
    half = grid * voxel_m / 2
    device = occupancy.device
    line = torch.arange(pixels, dtype=torch.float32, device=device)
    line = (line + 0.5) / pixels * 2 - 1  # in half widths
    z, y, x = torch.meshgrid(line.flip(0), line, line, indexing='ij')  # from the top down
    points = torch.stack([x, y, z], dim=-1).reshape(1, -1, 3)
    if shifts is not None:
        offset = torch.cat([shifts / half, torch.zeros_like(shifts[:, :1])], dim=1)
        points = points - offset[:, None]
    turned = points @ rotations  # p_template = R^T p_view, as rows
    turned = turned.reshape(len(rotations), pixels, pixels, pixels, 3).flip(-1)
    # Between voxels the logits are linear, not the occupancy: its edge stays sharp. A ray along a
    # side would otherwise meet many voxels that are a little occupied, and parts come out thin.
    logits = torch.logit(occupancy, EMPTY) - EMPTY_LOGIT
    volume = logits.expand(len(rotations), 1, grid, grid, grid)  # grid_sample: last axis first
    found = functional.grid_sample(volume, turned, align_corners=False)[:, 0]  # (B, P, P, P)
    alpha = torch.sigmoid(found + EMPTY_LOGIT)
    clear = torch.cumprod(1 - alpha * 0.9999, dim=1)
    before = torch.cat([torch.ones_like(clear[:, :1]), clear[:, :-1]], dim=1)
    weight = alpha * before
    # a surface found in a slice lies up to half a slice above its centre
    height = torch.einsum('bzyx,z->byx', weight, line.flip(0) * half)
    return Views(1 - clear[:, -1], height)


def resting_heights(occupancy: Tensor, voxel_m: float, rotations: Tensor) -> Tensor:
    """(B, 3, 3) -> (B,) metres from the lowest occupied point up to the grid's centre."""
    occupied = torch.nonzero(occupancy > 0.5).float()
    if not len(occupied):
        return torch.zeros(len(rotations), device=rotations.device)
    centre = (occupancy.shape[0] - 1) / 2
    points = (occupied - centre) * voxel_m  # (M, 3)
    reach = rotations[:, 2].abs().sum(dim=1) * voxel_m / 2  # half a voxel, seen along z
    return reach - (rotations[:, 2] @ points.T).amin(dim=1)


def fill_unseen(occupancy: Tensor, rotations: Tensor) -> Tensor:
    """(G, G, G) in which whatever no view down any of (B, 3, 3) rotations reaches is occupied.

    Images say nothing about a part's inside; a part whose inside is empty is not what is meant.
    """
    grid = occupancy.shape[0]
    device = occupancy.device
    line = (torch.arange(grid, dtype=torch.float32, device=device) + 0.5) / grid * 2 - 1
    x, y, z = torch.meshgrid(line, line, line, indexing='ij')
    voxels = torch.stack([x, y, z], dim=-1).reshape(1, -1, 3)
    seen = torch.zeros(grid**3, device=device)
    for turns in rotations.split(32):
        volume = occupancy.expand(len(turns), 1, grid, grid, grid)
        turned = voxels @ turns  # p_template = R^T p_view, as rows
        shape = (len(turns), grid, grid, grid, 3)  # view's x, y, z
        alpha = functional.grid_sample(volume, turned.reshape(shape).flip(-1), align_corners=False)
        clear = torch.cumprod(1 - alpha[:, 0].flip(-1), dim=-1)  # from the top down
        before = torch.cat([torch.ones_like(clear[..., :1]), clear[..., :-1]], dim=-1).flip(-1)
        back = (voxels @ turns.mT).reshape(shape).flip(-1)  # p_view = R p_template, as rows
        reach = functional.grid_sample(
            before[:, None], back, padding_mode='border', align_corners=False
        )
        seen = torch.maximum(seen, reach.reshape(len(turns), -1).amax(dim=0))
    unseen = ((0.7 - seen) / 0.3).clamp(0, 1)  # soft surfaces let some of a ray through
    return torch.maximum(occupancy, unseen.reshape(grid, grid, grid))

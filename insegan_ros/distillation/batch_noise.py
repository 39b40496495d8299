"""Errors of depth cameras for many pictures at once, on a GPU: each under a camera of its own.

`any_camera` draws cameras as `depth_noise.drawn` does and measures as `depth_noise.measure` does,
`d435` as `d435.add_noise` with about the noise of a D435. Fields are filtered by FFT, so that
every picture can have its own correlation; depth is (B, H, W) in metres, NaN where nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from insegan_ros.depth_camera import D435, D435_NOISE
from insegan_ros.distillation.random_views import LENGTH_M, SEEN_FROM_M

SMOOTHED_PX = 12  # margin of a blurred picture
ELLIPSE_PX = 5.0  # area of one of a D435's small holes


@dataclass(frozen=True)
class Draws:
    """Random numbers for B pictures, (B, 1, 1) where each has one."""

    generator: torch.Generator
    count: int

    @property
    def device(self) -> torch.device:
        """Where they are made."""
        return self.generator.device

    def uniform(self, low: float, high: float) -> Tensor:
        """One a picture."""
        return low + (high - low) * self.random((self.count, 1, 1))

    def log_uniform(self, low: float, high: float) -> Tensor:
        """One a picture, small ones as often as large ones."""
        return torch.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, share: float) -> Tensor:
        """Whether, one a picture."""
        return self.random((self.count, 1, 1)) < share

    def one_of(self, values: Sequence[int]) -> Tensor:
        """One of these a picture."""
        size = (self.count, 1, 1)
        which = torch.randint(len(values), size, generator=self.generator, device=self.device)
        return torch.tensor(values, device=self.device)[which]

    def random(self, shape: Sequence[int]) -> Tensor:
        """In [0, 1)."""
        return torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Of unit variance."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def field(self, shape: Sequence[int], correlation: Tensor | float) -> Tensor:
        """(B, H, W) of unit variance, correlated over so many pixels (Gaussian)."""
        if not isinstance(correlation, Tensor):
            correlation = torch.full((self.count, 1, 1), correlation, device=self.device)
        unit = 2 * math.sqrt(math.pi) * correlation.clamp_min(0.4)
        return _filtered(self.normal(shape), correlation) * unit


def any_camera(depth: Tensor, focal_px: Tensor, distance_m: Tensor, *, draws: Draws) -> Tensor:
    """What cameras of the whole family measure; focal length and distance (B, 1, 1)."""
    shape = depth.shape
    known = torch.isfinite(depth)
    far = torch.where(known, depth, -math.inf).amax((1, 2), keepdim=True)
    depth, missing = torch.where(known, depth, far), ~known
    stereo = draws.chance(0.75)
    f_b = focal_px * draws.uniform(0.03, 0.12) * distance_m / 0.5
    missing |= stereo & _hidden(depth, f_b, draws.chance(0.5))
    missing |= _steep(depth, focal_px, draws)
    step = LENGTH_M * draws.uniform(0.05, 0.4)
    depth = _edges(depth, step, draws)
    missing |= _lost(depth, step * draws.uniform(0.8, 4.0), draws)
    power = torch.where(stereo, 2.0, 1.0)
    sigma = LENGTH_M * draws.log_uniform(0.002, 0.045) / distance_m**power
    grain = draws.uniform(0.1, 0.9)
    texture = torch.sqrt(1 - grain) * draws.field(shape, draws.uniform(1.5, 7.0))
    depth = depth + sigma * depth**power * (texture + torch.sqrt(grain) * draws.normal(shape))
    holes = torch.where(draws.chance(0.5), 0.0, draws.uniform(0.0, 0.03))
    missing |= _holes(shape, holes, draws.uniform(0.8, 2.5), draws=draws)
    unit = (LENGTH_M * draws.uniform(0.001, 0.03)).clamp_max(0.001)
    depth = torch.round(depth / unit) * unit
    depth = torch.where(missing, math.nan, depth)
    depth = _filled(depth, draws.one_of((0, 0, 0, 2, 5)))
    coarse = draws.uniform(1.0, 3.0)
    return _coarsened(depth, torch.where(draws.chance(2 / 3) | (coarse <= 1.05), 1.0, coarse))


def d435(depth: Tensor, distance_m: Tensor, draws: Draws) -> Tensor:
    """What a D435 measures that sees parts of few centimetres from SEEN_FROM_M; (B, 1, 1)."""
    shape, nearer = depth.shape, SEEN_FROM_M / distance_m
    known = torch.isfinite(depth)
    z = torch.where(known, depth * nearer, 0.0)
    f_b = torch.full_like(nearer, D435.fx * D435_NOISE.baseline)
    hidden = _hidden(torch.where(known, z, math.inf), f_b, draws.chance(0.5))
    near, far = _least(z), _most(z)
    waver = draws.uniform(0.2, 0.8)
    strayed = _moved(z, *(torch.round(waver * draws.normal(shape)) for _ in range(2)))
    between = near + draws.random(shape) * (far - near)
    flying = draws.random(shape) < draws.uniform(0.0, 0.5)
    edge = (far - near > D435_NOISE.edge_jump) & (near > 0)
    z = torch.where(edge, torch.where(flying, between, strayed), z)
    jitter = draws.field(shape, draws.uniform(0.5, 3.0))
    disparity = f_b / z.clamp_min(1e-6) + draws.uniform(0.02, 0.12) * jitter
    disparity = torch.round(disparity / D435_NOISE.disparity_step) * D435_NOISE.disparity_step
    measured = torch.round(f_b / disparity.clamp_min(1e-6) / D435_NOISE.depth_step)
    holes = draws.uniform(0.0, 3.0) * ELLIPSE_PX / 1e4
    missing = ~known | (z <= 0) | hidden | (disparity <= 0)
    missing |= _holes(shape, holes, torch.full_like(holes, 1.2), draws=draws)
    return torch.where(missing, math.nan, measured * D435_NOISE.depth_step / nearer)


def _filtered(x: Tensor, sigma: Tensor) -> Tensor:
    """Each picture smoothed by a Gaussian of its own; borders meet."""
    height, width = x.shape[1:]
    v = torch.fft.fftfreq(height, device=x.device)[:, None]
    u = torch.fft.rfftfreq(width, device=x.device)
    gain = torch.exp(-2 * math.pi**2 * sigma**2 * (v**2 + u**2))
    return torch.fft.irfft2(torch.fft.rfft2(x) * gain, s=(height, width))


def _smoothed(x: Tensor, sigma: Tensor) -> Tensor:
    """The same, borders repeated."""
    m = SMOOTHED_PX
    padded = functional.pad(x[:, None], (m, m, m, m), mode='replicate')[:, 0]
    return _filtered(padded, sigma)[:, m:-m, m:-m]


def _most(x: Tensor, reach: int = 1) -> Tensor:
    return functional.max_pool2d(x[:, None], 2 * reach + 1, 1, reach)[:, 0]


def _least(x: Tensor, reach: int = 1) -> Tensor:
    return -_most(-x, reach)


def _hidden(depth: Tensor, f_b: Tensor, right: Tensor) -> Tensor:
    """As `d435.occlusion_shadow`, on either side."""
    disparity = f_b / depth
    disparity = torch.where(right, disparity.flip(2), disparity)
    place = torch.arange(depth.shape[2], device=depth.device) - disparity
    nearest = place.flip(2).cummin(2).values.flip(2)
    hidden = torch.zeros_like(depth, dtype=torch.bool)
    hidden[:, :, :-1] = nearest[:, :, 1:] < place[:, :, :-1] - 0.5
    return torch.where(right, hidden.flip(2), hidden)


def _moved(depth: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """The pixels at whole offsets, borders repeated."""
    count, height, width = depth.shape
    v = (torch.arange(height, device=depth.device)[:, None] + dy).clamp(0, height - 1)
    u = (torch.arange(width, device=depth.device) + dx).clamp(0, width - 1)
    index = (v * width + u).long().flatten(1)
    return depth.flatten(1).gather(1, index).view(count, height, width)


def _steep(depth: Tensor, focal_px: Tensor, draws: Draws) -> Tensor:
    padded = functional.pad(depth[:, None], (1, 1, 1, 1), mode='reflect')[:, 0]
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 8
    columns = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 8
    dx, dy = rows[:, :, 2:] - rows[:, :, :-2], columns[:, 2:] - columns[:, :-2]
    slope = torch.hypot(dx, dy) * focal_px / depth
    limit = draws.uniform(2.0, 12.0) * torch.exp(0.4 * draws.field(depth.shape, 3.0))
    return (slope > limit) & (draws.random(depth.shape) < 0.85)


def _edges(depth: Tensor, step: Tensor, draws: Draws) -> Tensor:
    """Edges stray, near surfaces grow, low steps become ramps, some pixels lie between."""
    shape, waver = depth.shape, draws.uniform(0.0, 0.9)
    depth = _moved(depth, *(torch.round(waver * draws.field(shape, 1.0)) for _ in range(2)))
    fatten, grown = draws.one_of((0, 0, 1, 2)), draws.field(shape, 4.0) > 0
    for reach in (1, 2):
        depth = torch.where(grown & (fatten == reach), _least(depth, reach), depth)
    ramp = torch.where(draws.chance(0.5), 0.0, draws.uniform(0.5, 3.5))
    reach_px, steps = torch.round(ramp).clamp_min(1), torch.zeros_like(depth)
    low = high = depth
    for reach in (1, 2, 3, 4):
        low, high = _least(low), _most(high)
        steps = torch.where(reach_px == reach, high - low, steps)
    depth = torch.where((ramp > 0) & (steps < step), _smoothed(depth, ramp), depth)
    near, far = _least(depth), _most(depth)
    edge = (far - near > 0.5 * step) & (draws.random(shape) < draws.uniform(0.0, 0.5))
    return torch.where(edge, near + draws.random(shape) * (far - near), depth)


def _lost(depth: Tensor, lost_step: Tensor, draws: Draws) -> Tensor:
    lost = _most(depth) - _least(depth) > lost_step
    lost_px, wide, wider = draws.one_of((0, 1, 2, 3)), lost, lost.float()
    for reach in (1, 2, 3):
        wider = _most(wider)
        wide = torch.where(lost_px == reach, wider > 0, wide)
    return (lost_px > 0) & (lost | (wide & (draws.field(depth.shape, 2.0) > 0)))


def _holes(shape: Sequence[int], share: Tensor, size_px: Tensor, *, draws: Draws) -> Tensor:
    limit = -torch.special.ndtri(share.clamp_min(1e-6))
    return (share > 0) & (draws.field(shape, size_px) > limit)


def _filled(depth: Tensor, filled_px: Tensor) -> Tensor:
    """As `depth_noise._filled`."""
    missing = torch.isnan(depth)
    measured = torch.where(missing, 0.0, depth)[:, None]
    for reach in (2, 5):
        beside = functional.max_pool2d(measured, (1, 2 * reach + 1), 1, (0, reach))[:, 0]
        depth = torch.where(missing & (filled_px == reach) & (beside > 0), beside, depth)
    return depth


def _coarsened(depth: Tensor, factor: Tensor) -> Tensor:
    """As a camera with larger pixels sees square pictures."""
    count, size, _ = depth.shape
    small = torch.round(size / factor).view(count, 1)
    index = torch.arange(size, device=depth.device)
    cell = torch.floor(index * small / size + 1e-4)
    source = torch.floor(cell * size / small + 1e-4).clamp(0, size - 1).long()
    rows = depth.gather(1, source[:, :, None].expand(-1, -1, size))
    return rows.gather(2, source[:, None, :].expand(-1, size, -1))

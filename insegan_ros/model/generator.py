"""The generator G: posed copies of an implicit 3-D template, composed into a depth image.

Paper 3.2: F(z) = G_s(STN(Lambda(G_p(z)), T)) (Eq. 1), image = G_r(mean of F(z)) (Eq. 2). Images
are (B, 1, S, S) in [-1, 1]: -1 the bin's floor, larger is nearer to the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insegan_ros.model.pose import PoseDecoder, rigid_motion

SLOPE = 0.2  # of every leaky rectifier


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of the generator; the defaults are the paper's where it names them."""

    kind: Literal['3d', '2d'] = '3d'  # 2d: the paper's ablation, no template and no poses
    z_dim: int = 128  # d
    image_size: int = 64  # px
    template_size: int = 4  # h
    template_channels: int = 128  # k
    doublings: int = 0  # residual 3-D blocks that double the template's side before it is posed
    volume_channels: tuple[int, ...] = ()  # of 3-D convolutions after it is posed
    feature_channels: int = 128  # c

    def __post_init__(self) -> None:
        steps = math.log2(self.image_size / self.feature_size)
        if steps != int(steps) or steps < 1 or self.image_size / 4 != int(self.image_size / 4):
            raise ValueError(
                f'image_size {self.image_size} cannot be reached from features of '
                f'{self.feature_size} px by doubling; try {self.feature_size * 4}'
            )
        if self.template_channels % 2**self.doublings:
            raise ValueError(
                f'template_channels {self.template_channels} cannot be halved '
                f'{self.doublings} times; use a multiple of {2**self.doublings}'
            )

    @property
    def feature_size(self) -> int:
        """Side of an instance's feature map, px."""
        return self.template_size * 2**self.doublings

    @property
    def volume_channels_in(self) -> int:
        """Channels of the template after its doublings."""
        return self.template_channels // 2**self.doublings


class Generator(nn.Module):
    """G: n latents -> one depth image; also each of them alone."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.instance = (InstanceVolume if config.kind == '3d' else InstancePlane)(config)
        self.renderer = Renderer(config)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, d) -> image (B, 1, S, S) and mean feature map (B, c, h, h), Eq. 2."""
        features = self.instance(z.flatten(0, 1)).unflatten(0, z.shape[:2])
        mean = features.mean(dim=1)
        return self.renderer(mean), mean

    def render_each(self, z: Tensor) -> Tensor:
        """(B, n, d) -> (B, n, S, S): every instance as if it were alone (paper 3.5)."""
        return self.renderer(self.instance(z.flatten(0, 1))).unflatten(0, z.shape[:2]).squeeze(2)


class InstanceVolume(nn.Module):
    """F(z), Eq. 1: the template, posed, projected to a feature map."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        side, channels = config.template_size, config.template_channels
        self.template = nn.Parameter(torch.randn(1, channels, side, side, side))
        blocks = [DoublingBlock(channels // 2**k) for k in range(config.doublings)]
        self.doubling = nn.Sequential(*blocks)
        self.pose = PoseDecoder(config.z_dim)
        sizes = (config.volume_channels_in, *config.volume_channels)
        self.volume = nn.Sequential(
            *(
                layer
                for before, after in pairwise(sizes)
                for layer in (nn.Conv3d(before, after, 3, padding=1), nn.LeakyReLU(SLOPE))
            )
        )
        folded = sizes[-1] * config.feature_size
        self.project = nn.Sequential(
            nn.Conv2d(folded, config.feature_channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(config.feature_channels),
        )

    def forward(self, z: Tensor) -> Tensor:
        """(M, d) -> (M, c, h, h)."""
        template = self.doubling(self.template)  # once for all poses: (1, k, h, h, h)
        posed = warp(template, rigid_motion(self.pose(z).float()))  # (M, k, h, h, h)
        posed = posed.contiguous(memory_format=torch.channels_last_3d)
        return self.project(self.volume(posed).flatten(1, 2))  # depth joins the channels


class DoublingBlock(nn.Module):
    """A residual 3-D block that doubles the side and halves the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.skip = nn.Conv3d(channels, channels // 2, 1)
        self.first = nn.Conv3d(channels, channels // 2, 3, padding=1)
        self.second = nn.Conv3d(channels // 2, channels // 2, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        """(1, k, h, h, h) -> (1, k / 2, 2h, 2h, 2h)."""
        large = F.interpolate(volume, scale_factor=2, mode='trilinear', align_corners=False)
        inner = F.leaky_relu(self.first(F.leaky_relu(large, SLOPE)), SLOPE)
        return self.skip(large) + self.second(inner)


def warp(volume: Tensor, motion: Tensor) -> Tensor:
    """The spatial transformer: move a volume rigidly, zeros flow in from outside.

    Args:
        volume: (1, k, D, H, W).
        motion: (M, 3, 4) [R | t] in coordinates x, y, z of [-1, 1] along W, H, D.

    Returns:
        (M, k, D, H, W): what was at p is at R p + t.
    """
    back = motion[..., :3].transpose(1, 2)  # sampling goes the other way: p = R^T (q - t)
    theta = torch.cat([back, -back @ motion[..., 3:]], dim=-1)
    grid = F.affine_grid(theta, [len(motion), *volume.shape[1:]], align_corners=False)
    volume = volume.float().expand(len(motion), *volume.shape[1:])
    return F.grid_sample(volume, grid.float(), align_corners=False)


class InstancePlane(nn.Module):
    """The ablation's F(z): 2-D convolutions in place of template, pose decoder and STN."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        channels = 2 * config.feature_channels
        self.start = nn.Linear(config.z_dim, channels * 16)  # 4 x 4 px
        layers: list[nn.Module] = [nn.LeakyReLU(SLOPE)]
        for _ in range(int(math.log2(config.feature_size / 4))):
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False),
                nn.InstanceNorm2d(channels // 2),
                nn.LeakyReLU(SLOPE),
            ]
            channels //= 2
        layers += [
            nn.Conv2d(channels, config.feature_channels, 3, padding=1, bias=False),
            nn.InstanceNorm2d(config.feature_channels),
        ]
        self.grow = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """(M, d) -> (M, c, h, h)."""
        return self.grow(self.start(z).unflatten(1, (-1, 4, 4)))


class Renderer(nn.Sequential):
    """G_r: a feature map (B, c, h, h) -> a depth image (B, 1, S, S) in [-1, 1]."""

    def __init__(self, config: GeneratorConfig) -> None:
        channels = config.feature_channels
        layers: list[nn.Module] = [nn.LeakyReLU(SLOPE)]
        for _ in range(int(math.log2(config.image_size / config.feature_size)) - 1):
            layers += [
                nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False),
                nn.InstanceNorm2d(channels // 2),
                nn.LeakyReLU(SLOPE),
            ]
            channels //= 2
        super().__init__(*layers, nn.ConvTranspose2d(channels, 1, 4, 2, 1), nn.Tanh())

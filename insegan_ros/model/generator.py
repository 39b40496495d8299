"""The generator G: posed copies of an implicit 3-D template, composed into a depth image.

Paper 3.2: F(z) = G_s(STN(Lambda(G_p(z)), T)) (Eq. 1), image = G_r(mean of F(z)) (Eq. 2). Images
are (B, 1, S, S) in [-1, 1]: -1 where no part is, larger is nearer to the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insegan_ros.model import code
from insegan_ros.model.pose import PoseDecoder, rigid_motion, warp

SLOPE = 0.2  # of every leaky rectifier


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes and kinds of the generator's layers.

    The paper names h, k, the mean and the renderer's place; what it leaves open, `normalised` to
    `pose_start`, decides whether instances separate (docs/research.md).
    """

    kind: Literal['3d', '2d'] = '3d'  # 2d: the paper's ablation, no template and no poses
    z_dim: int = 16  # d; an image shows six numbers of it
    image_size: int = 64  # px
    template_size: int = 4  # h
    template_channels: int = 64  # k
    # kinds of part in a bin, each with a template of its own; scenes hold them equally often
    templates: int = 1
    doublings: int = 2  # residual 3-D blocks that double the template's side before it is posed
    volume_channels: tuple[int, ...] = (8, 8)  # of 3-D convolutions after it is posed
    feature_channels: int = 64  # c
    normalised: bool = True  # instance norms in the volume; affine ones in 2-D
    rectified: bool = True  # instances' feature maps are rectified before their mean
    reach: float | None = 0.8  # no part is wider than this share of the image; None: no bound
    # How instances become one image. `mean`: their feature maps' mean is rendered (Eq. 2).
    # `nearest`: each is rendered alone, and the nearest surface shows, as at inference (3.5).
    composed_by: Literal['mean', 'nearest'] = 'nearest'
    bound: float | None = 0.85  # of instances' middles, half sides of the image; None: none
    pose_start: tuple[float, float] = (0.7, 0.7)  # first deviations: rotation, rad; translation

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
        if not 1 <= self.templates <= self.z_dim:
            raise ValueError(
                f'templates {self.templates}: 1 to z_dim = {self.z_dim} are expected, since a '
                "latent's first numbers say which template is drawn"
            )
        if self.templates > 1 and self.kind == '2d':
            raise ValueError(
                f'templates {self.templates}: the 2-D model has none; leave them out, or use 3d'
            )

    @property
    def code_dim(self) -> int:
        """Numbers that say how one instance looks: `model.code` says what they are."""
        if self.kind == '2d':
            return self.z_dim
        return code.MOTION + code.gates(self.templates)

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
        self.kind, self.composed_by = config.kind, config.composed_by
        self.gates = code.gates(config.templates)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, d) -> image (B, 1, S, S) and mean feature map (B, c, h, h), Eq. 2."""
        features = self.features(self.place(z))
        mean = features.mean(dim=1)
        if self.composed_by == 'mean':
            return self.renderer(mean), mean
        return self.alone(features).amax(dim=1, keepdim=True), mean

    def alone(self, features: Tensor) -> Tensor:
        """(B, n, c, h, h) -> (B, n, S, S)."""
        return self.renderer(features.flatten(0, 1)).unflatten(0, features.shape[:2]).squeeze(2)

    def place(self, z: Tensor) -> Tensor:
        """Latents (..., d) -> what an image shows of them, (..., code_dim).

        In 3-D the rigid motion Lambda(G_p(z)), 3 x 4, row by row. Of K templates it poses that
        of the greatest of z's first K numbers. In 2-D the latents themselves.
        """
        return self.instance.place(z)

    def templates(self, codes: Tensor) -> Tensor:
        """Codes (..., code_dim) -> which template each poses, (...): 1, 2, ..."""
        if not self.gates:
            return torch.ones(codes.shape[:-1], dtype=torch.long, device=codes.device)
        return 1 + code.parted(codes)[1].argmax(dim=-1)

    def features(self, codes: Tensor) -> Tensor:
        """(B, n, code_dim) -> every instance's feature map F, (B, n, c, h, h), Eq. 1."""
        return self.instance.draw(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def render_both(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, code_dim) -> all in one image (B, 1, S, S); each as if alone (B, n, S, S)."""
        features = self.features(codes)
        alone = self.alone(features)
        if self.composed_by == 'mean':
            return self.renderer(features.mean(dim=1)), alone
        return alone.amax(dim=1, keepdim=True), alone


class InstanceVolume(nn.Module):
    """F(z), Eq. 1: the template, posed, projected to a feature map."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        side, channels = config.template_size, config.template_channels
        first = torch.randn(config.templates, channels, side, side, side)
        # normalised before its first use: small values learn faster by the same updates
        self.template = nn.Parameter(first * (0.02 if config.normalised else 1.0))
        self.normalised, self.bound = config.normalised, config.bound
        self.gates = code.gates(config.templates)
        block = NormalisedDoublingBlock if config.normalised else DoublingBlock
        self.doubling = nn.Sequential(*(block(channels // 2**k) for k in range(config.doublings)))
        self.register_buffer('ball', ball(config.feature_size, config.reach), persistent=False)
        self.pose = PoseDecoder(config.z_dim, config.pose_start)
        sizes = (config.volume_channels_in, *config.volume_channels)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers.append(nn.Conv3d(before, after, 3, padding=1, bias=not config.normalised))
            if config.normalised:
                layers += [instance_norm(after), nn.ReLU()]
            else:
                layers.append(nn.LeakyReLU(SLOPE))
        self.volume = nn.Sequential(*layers)
        self.project = projection(sizes[-1] * config.feature_size, config)

    def place(self, z: Tensor) -> Tensor:
        """(..., d) -> (..., code_dim) rigid motions and gates."""
        pose = self.pose(z).float()
        if self.bound is not None:
            pose = torch.cat([pose[..., :3], self.bound * pose[..., 3:].tanh()], dim=-1)
        return code.joined(rigid_motion(pose), code.one_hot(z[..., : self.gates].float()))

    def draw(self, codes: Tensor) -> Tensor:
        """(M, code_dim) -> (M, c, h, h)."""
        motions, gates = code.parted(codes)
        template = F.instance_norm(self.template) if self.normalised else self.template
        template = self.doubling(template) * self.ball  # once for all: (K, k, h, h, h)
        if self.gates:
            template = torch.einsum('mt,tkdhw->mkdhw', gates, template)  # each instance's own
        posed = warp(template, motions)  # (M, k, h, h, h)
        for layer in self.volume:
            if isinstance(
                layer, nn.Conv3d
            ):  # fast with its channels last, norms are with them first
                posed = layer(posed.contiguous(memory_format=torch.channels_last_3d)).contiguous()
            else:
                posed = layer(posed)
        return self.project(posed.flatten(1, 2))  # depth joins the channels


def instance_norm(channels: int, affine: bool = True) -> nn.GroupNorm:
    """Instance norm: a group is one channel. Faster than PyTorch's own of the name."""
    return nn.GroupNorm(channels, channels, affine=affine)


def ball(side: int, reach: float | None) -> Tensor:
    """(side, side, side): 1 within a ball of diameter `reach` of the side, 0 well outside."""
    if reach is None:
        return torch.ones(side, side, side)
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    radius = torch.stack(torch.meshgrid(line, line, line, indexing='ij')).norm(dim=0)
    return ((reach - radius) * side / 2 + 0.5).clamp(0, 1)


def projection(channels: int, config: GeneratorConfig) -> nn.Sequential:
    """A convolution to the instance's feature map, normalised, and rectified where it shall be."""
    wide = config.feature_channels
    layers: list[nn.Module] = [
        nn.Conv2d(channels, wide, 3, padding=1, bias=False),
        instance_norm(wide, config.normalised),
    ]
    if config.rectified:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class DoublingBlock(nn.Module):
    """A residual 3-D block that doubles the side and halves the channels, without norms."""

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


class NormalisedDoublingBlock(nn.Module):
    """A pre-activated residual 3-D block with instance norms, then a doubling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.skip = nn.Conv3d(channels, half, 1, bias=False)
        self.first = nn.Conv3d(channels, half, 3, padding=1, bias=False)
        self.second = nn.Conv3d(half, half, 3, padding=1, bias=False)
        self.norm = instance_norm(half)

    def forward(self, volume: Tensor) -> Tensor:
        """(1, k, h, h, h) -> (1, k / 2, 2h, 2h, 2h)."""
        inner = self.first(F.leaky_relu(F.instance_norm(volume), SLOPE))
        inner = self.second(F.leaky_relu(F.instance_norm(inner), SLOPE))
        return self.norm(F.interpolate(self.skip(volume) + inner, scale_factor=2.0))


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
                instance_norm(channels // 2, config.normalised),
                nn.LeakyReLU(SLOPE),
            ]
            channels //= 2
        self.grow = nn.Sequential(*layers, *projection(channels, config))

    def place(self, z: Tensor) -> Tensor:
        """The latents as they are."""
        return z

    def draw(self, z: Tensor) -> Tensor:
        """(M, d) -> (M, c, h, h)."""
        return self.grow(self.start(z).unflatten(1, (-1, 4, 4)))


class Renderer(nn.Sequential):
    """G_r: a feature map (B, c, h, h) -> a depth image (B, 1, S, S) in [-1, 1]."""

    def __init__(self, config: GeneratorConfig) -> None:
        channels = config.feature_channels
        layers: list[nn.Module] = [] if config.rectified else [nn.LeakyReLU(SLOPE)]
        for _ in range(int(math.log2(config.image_size / config.feature_size)) - 1):
            layers += [
                nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False),
                instance_norm(channels // 2, config.normalised),
                nn.ReLU() if config.rectified else nn.LeakyReLU(SLOPE),
            ]
            channels //= 2
        super().__init__(*layers, nn.ConvTranspose2d(channels, 1, 4, 2, 1), nn.Tanh())

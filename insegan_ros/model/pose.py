"""Latents to rigid motions, and volumes moved by them: G_p, Lambda and the STN (paper 3.2)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 32)  # of the decoder's hidden layers


class PoseDecoder(nn.Sequential):
    """G_p: a latent -> axis-angle (radians) and translation (half the template's side)."""

    def __init__(self, z_dim: int, start: tuple[float, float] = (0.7, 0.7)) -> None:
        """Weights whose poses spread as they shall.

        Args:
            start: standard deviations of what an untrained decoder gives: axis-angle and
                translation. Where feature maps are averaged, rotations that are large against
                translations make the template the whole scene, which only turns. Where rotations
                do not reach all ways, the template of an elongated part lies several ways at once.
        """
        sizes = (z_dim, *WIDTHS)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after, bias=False), nn.LeakyReLU(0.2)]
        last = nn.Linear(sizes[-1], 6, bias=False)
        super().__init__(*layers, last)
        for layer in layers[::2]:
            assert isinstance(layer.weight, Tensor)
            nn.init.kaiming_normal_(layer.weight, a=0.2)
        # The paper leaves this open. With PyTorch's own start all poses are within 0.1 of each
        # other, and a discriminator wins before they have spread.
        wanted = torch.tensor([start[0]] * 3 + [start[1]] * 3)
        with torch.no_grad():
            spread = self(torch.randn(1024, z_dim)).std(dim=0)
            last.weight *= (wanted / spread)[:, None]


def rotation_matrix(axis_angle: Tensor) -> Tensor:
    """(..., 3) axis times angle in radians -> (..., 3, 3) rotation (Rodrigues)."""
    squared = axis_angle.square().sum(-1, keepdim=True)[..., None]  # (..., 1, 1)
    small = squared < 1e-8
    angle = torch.where(small, 1.0, squared).sqrt()  # the root's gradient at 0 is infinite
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / angle.square())
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.eye(3, device=x.device, dtype=x.dtype) + sine * cross + cosine * cross @ cross


def rigid_motion(pose: Tensor) -> Tensor:
    """Lambda: (..., 6) axis-angle and translation -> (..., 3, 4) [R | t] of SE(3)."""
    return torch.cat([rotation_matrix(pose[..., :3]), pose[..., 3:, None]], dim=-1)


def warp(volume: Tensor, motion: Tensor) -> Tensor:
    """The spatial transformer: move a volume rigidly, zeros flow in from outside.

    Args:
        volume: (1, k, D, H, W), or (M, k, D, H, W), one for each motion.
        motion: (M, 3, 4) [R | t] in coordinates x, y, z of [-1, 1] along W, H, D.

    Returns:
        (M, k, D, H, W): what was at p is at R p + t.
    """
    back = motion[..., :3].transpose(1, 2)  # sampling goes the other way: p = R^T (q - t)
    theta = torch.cat([back, -back @ motion[..., 3:]], dim=-1)
    grid = F.affine_grid(theta, [len(motion), *volume.shape[1:]], align_corners=False)
    volume = volume.float().expand(len(motion), *volume.shape[1:])
    return F.grid_sample(volume, grid.float(), align_corners=False)

"""An encoder that finds instances where they are seen: a map of centres, and a code at each.

It stands in for the paper's E (3.4), whose last layer names all n latents at once. Every cell of
the map says whether the visible part of an instance has its centre there, and how that instance
lies: so equal instances need no order, and what is learned of one place serves all.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insegan_ros.model import code
from insegan_ros.model.generator import GeneratorConfig

STRIDE = 2  # px of the image a cell of the map
RARE = -4.0  # added to logits of centres: there are few
SUPPRESSED = 5  # cells, side of the square in which the best centre is the only one


class SetEncoder(nn.Module):
    """Image -> map of centres and features; features at centres -> codes of instances."""

    places: Tensor  # (C, 2) middles of cells, x and y in half sides of the image
    ramps: Tensor  # (1, 2, S, S) x and y of every pixel

    def __init__(self, config: GeneratorConfig, width: int = 96) -> None:
        super().__init__()
        fine, self.kind = width // 2, config.kind
        self.side = config.image_size // STRIDE
        self.stem = nn.Sequential(nn.Conv2d(3, fine, 4, 2, 1), nn.GroupNorm(8, fine), nn.SiLU())
        self.down = nn.Conv2d(fine, width, 4, 2, 1)
        self.blocks = nn.Sequential(*(Residual(width, spread) for spread in (1, 2, 4, 1, 2, 1)))
        self.up = nn.Conv2d(width, fine, 1)
        self.join = nn.Sequential(
            nn.Conv2d(fine, fine, 3, padding=1), nn.GroupNorm(8, fine), nn.SiLU()
        )
        self.heat = nn.Conv2d(fine, 1, 1)
        with torch.no_grad():
            self.heat.weight *= 0.1
        # six numbers of a rotation, three of a place, a score of each template
        out = 9 + code.gates(config.templates) if config.kind == '3d' else config.code_dim
        self.code = nn.Sequential(
            nn.Linear(fine + width + 2, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(),
            nn.Linear(256, out),
        )  # fmt: skip
        line = (torch.arange(self.side) + 0.5) / self.side * 2 - 1
        y, x = torch.meshgrid(line, line, indexing='ij')
        self.register_buffer('places', torch.stack([x, y], dim=-1).flatten(0, 1), persistent=False)
        line = (torch.arange(config.image_size) + 0.5) / config.image_size * 2 - 1
        y, x = torch.meshgrid(line, line, indexing='ij')
        self.register_buffer('ramps', torch.stack([x, y])[None], persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, S, S) -> logits of centres (B, C), features (B, c, C); C = (S / STRIDE)^2."""
        fine = self.stem(torch.cat([image, self.ramps.expand(len(image), -1, -1, -1)], dim=1))
        coarse = self.blocks(self.down(fine))
        joined = self.join(fine + F.interpolate(self.up(coarse), scale_factor=2.0))
        wide = F.interpolate(coarse, scale_factor=2.0)
        return self.heat(joined).flatten(1) + RARE, torch.cat([joined, wide], dim=1).flatten(2)

    def codes(self, features: Tensor, cells: Tensor) -> Tensor:
        """Features (B, c, C) at cells (B, n) -> codes (B, n, code_dim) of the generator's."""
        return self.codes_and_scores(features, cells)[0]

    def codes_and_scores(self, features: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """As `codes`, and the logits (B, n, K) of each template that an instance may have."""
        at = features.gather(2, cells[:, None].expand(-1, features.shape[1], -1)).mT
        place = self.places[cells]  # (B, n, 2) x, y in half sides
        out = self.code(torch.cat([at, place.to(at.dtype)], dim=-1)).float()
        if self.kind == '2d':
            return out, out[..., :0]
        moved = torch.cat([place + out[..., 6:8], out[..., 8:9]], dim=-1)
        motions = torch.cat([rotation(out[..., :6]), moved[..., None]], dim=-1)
        scores = out[..., 9:]
        return code.joined(motions, code.one_hot(scores)), scores

    def explain(self, image: Tensor, count: int) -> Tensor:
        """(B, 1, S, S) -> codes (B, count, code_dim) at the best centres, the best first."""
        heat, features = self(image)
        return self.codes(features, self.peaks(heat, count)[0])

    def peaks(self, heat: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Logits (B, C) -> the best centres' cells and logits, (B, count) each."""
        square = heat.float().unflatten(1, (1, self.side, self.side))
        best = F.max_pool2d(square, SUPPRESSED, 1, SUPPRESSED // 2)
        alone = torch.where(best == square, square, square - 1e3).flatten(1)
        logits, cells = alone.topk(count, dim=1)
        return cells, logits


class Residual(nn.Module):
    """Two convolutions around which their input passes."""

    def __init__(self, width: int, spread: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=spread, dilation=spread),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, h) -> the same shape."""
        return x + self.layers(x)


def rotation(six: Tensor) -> Tensor:
    """(..., 6) -> (..., 3, 3), continuous (Zhou et al. 2019); zeros give no turn."""
    first = torch.eye(3, device=six.device, dtype=six.dtype)  # made there: nothing is copied
    a, b = six[..., :3] + first[0], six[..., 3:] + first[1]
    a = F.normalize(a, dim=-1)
    b = F.normalize(b - (a * b).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.linalg.cross(a, b, dim=-1)], dim=-1)

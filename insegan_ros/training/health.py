"""Signs, without labels, of whether a generator draws parts one by one or scenes as a whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from insegan_ros.model import code
from insegan_ros.model.generator import Generator

PART = -0.45  # a rendering above it shows a part: half way into the gap
CHANGED = 0.25  # of a value, by another latent in one instance's place
ALIKE = 0.3  # of a part's area: templates that differ by less are one
SCENES = 64


@dataclass(frozen=True)
class Health:
    """Of a generator, over scenes that it has drawn itself."""

    single: float  # area of single instances, all together, over the area of the scene: 1 to 2
    influence: float  # area that one latent changes, over the mean part's: 1 to 2
    agreement: float  # IoU of the nearest of all single renderings with the scene: near 1
    spread: float  # standard deviation of translations, half sides; 0 without a template
    area: float  # of the scenes, over that of real frames: 1
    # area that another template in an instance's pose changes, over its own; None: there is one
    templates: float | None = None

    @property
    def signs(self) -> dict[str, float]:
        """By name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def whole_scenes(self) -> bool:
        """Whether one latent draws about as much as all of them: the run will not separate."""
        return self.single > 3.6 or self.influence < 0.3 or self.area < 0.3

    @property
    def separated(self) -> bool:
        """Whether every sign says that one latent draws one part."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why parts are not separated, in words; empty where they are."""
        found = []
        if not 0.7 < self.single < 2.2:
            found.append(
                f'single instances cover {self.single:.2f} times the scene (0.7 to 2.2 is right)'
            )
        if not 0.5 < self.influence < 3:
            found.append(f'one latent changes {self.influence:.2f} part areas (0.5 to 3 is right)')
        if self.agreement < 0.6:
            found.append(
                f'single instances and the scene agree by an IoU of {self.agreement:.2f} '
                '(0.6 is needed)'
            )
        if not 0.6 < self.area < 1.5:
            found.append(
                f'scenes cover {self.area:.2f} times what real frames do (0.6 to 1.5 is right)'
            )
        if self.templates is not None and self.templates < ALIKE:
            found.append(
                f'another template changes {self.templates:.2f} of a part ({ALIKE} is needed): '
                'they are alike'
            )
        return found

    def verdict(self) -> str:
        """Separated or not, and how that is known."""
        told = ', '.join(f'{name} {value:.2f}' for name, value in self.signs.items())
        if self.separated:
            return f'parts are separated ({told})'
        return f'parts are NOT separated: {"; ".join(self.reasons)} ({told})'


@torch.no_grad()
def examine(generator: Generator, real: Tensor, instances: int, *, z_dim: int) -> Health:
    """Draw the same SCENES latents each time and look at the renderings.

    Args:
        real: (V, S, S) real frames, -1 where no part is.
    """
    device = next(generator.parameters()).device
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(SCENES, instances, z_dim, generator=rng)
    other = z.clone()
    other[:, 0] = torch.randn(SCENES, z_dim, generator=rng)
    joint, alone, changed, places = [], [], [], []
    for a, b in zip(z.to(device).split(16), other.to(device).split(16)):
        codes = generator.place(a)
        image, each = generator.render_both(codes)
        again = generator(b)[0]
        joint.append(image[:, 0].float() > PART)
        alone.append(each.float() > PART)
        changed.append(((image - again).float().abs() > CHANGED).float().mean())
        places.append(codes)
    scene, each = torch.cat(joint), torch.cat(alone)
    area = max(float(scene.float().mean()), 1e-6)
    union = each.any(dim=1)
    overlap = (union & scene).sum() / (union | scene).sum().clamp(min=1)
    spread = 0.0
    if generator.kind == '3d':
        motions, _ = code.parted(torch.cat(places).flatten(0, 1))
        spread = float(motions[..., 3].std(dim=0).mean())
    return Health(
        single=float(each.float().mean(dim=(2, 3)).mean()) * instances / area,
        influence=float(torch.stack(changed).mean()) * instances / area,
        agreement=float(overlap),
        spread=spread,
        area=area / max(float((real > PART).float().mean()), 1e-6),
        templates=_difference(generator, torch.cat(places[:1])),
    )


def _difference(generator: Generator, codes: Tensor) -> float | None:
    """Area that the next template in each instance's pose changes, over the instance's."""
    if not generator.gates:
        return None
    motions, gates = code.parted(codes)
    own, other = (
        generator.render_both(code.joined(motions, some))[1].float()
        for some in (gates, gates.roll(1, dims=-1))
    )
    changed = (own - other).abs() > CHANGED
    return float(changed.float().mean() / (own > PART).float().mean().clamp(min=1e-6))

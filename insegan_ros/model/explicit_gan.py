"""The explicit InSeGAN, wired in one place: template, pose decoder, discriminator, encoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from insegan_ros.model.discriminator import Discriminator
from insegan_ros.model.explicit import Template
from insegan_ros.model.explicit_scene import Poses, SceneView, Solid, bounded
from insegan_ros.model.pose import PoseDecoder, rotation_matrix
from insegan_ros.model.set_predictor import SetPredictor, Slots


@dataclass(frozen=True)
class ExplicitGANConfig:
    """Sizes of the networks and of what is rendered."""

    image_size: int = 64  # px, a power of two
    samples: int = 20  # along a ray through a part
    slots_side: int = 8  # the encoder has its square of slots
    z_dim: int = 32
    encoder_channels: int = 32  # of its first layer
    discriminator_channels: int = 24

    def __post_init__(self) -> None:
        if self.image_size < 32 or self.image_size & (self.image_size - 1) or self.samples < 4:
            raise ValueError(
                f'image_size {self.image_size}, samples {self.samples}: a power of two from 32 '
                'and at least 4 are expected'
            )


class ExplicitGAN(nn.Module):
    """The paper's generator (Fig. 2) with an occupancy grid in place of the feature template."""

    def __init__(self, config: ExplicitGANConfig, template: Template, view: SceneView) -> None:
        super().__init__()
        self.config, self.view, self.voxel_m = config, view, template.voxel_m
        self.logits = nn.Parameter(torch.from_numpy(np.array(template.logits, np.float32)))
        self.pose_decoder = PoseDecoder(config.z_dim)
        size = config.image_size
        self.encoder = SetPredictor(size, config.slots_side, config.encoder_channels)
        self.discriminator = Discriminator(size, config.discriminator_channels)

    @property
    def unit_m(self) -> float:
        """Half the image's side: the unit of the heights that networks see."""
        return self.view.crop.side_m / 2

    def solid(self, generator: torch.Generator) -> Solid:
        return Solid.of(self.logits, self.voxel_m, generator)

    def imagine(self, z: Tensor, present: Tensor, solid: Solid) -> Poses:
        """G_p: (B, N, z_dim) noise -> poses within the bin."""
        pose = self.pose_decoder(z)
        rotation = rotation_matrix(pose[..., :3])
        raw = pose[..., 3:] * 2 - pose.new_tensor([0.0, 0.0, 3.0])  # most lie on the floor
        return Poses(rotation, bounded(rotation, raw, solid, self.view), present)

    def placed(self, slots: Slots, solid: Solid, present: Tensor | None = None) -> Poses:
        """Slots as poses in the bin; present as far as their score says, where not given."""
        position = bounded(slots.rotation, slots.raw, solid, self.view)
        there = slots.score.sigmoid() if present is None else present
        return Poses(slots.rotation, position, there)

"""Several explanations of one image, of which the instances that render it best are kept.

An encoder that errs, errs otherwise on the image turned by 90 degrees, which shows as likely a
bin. The instances found in each turn compete: of all of them those are chosen that together
render the image best.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from insegan_ros.model.generator import Generator
from insegan_ros.model.insegan import explain
from insegan_ros.model.refine import mismatch, turned_back

SWEEPS = 6  # over the chosen instances, at most: in each one of them may be exchanged
GAIN = 1e-6  # of the error, by which an exchange counts as better


@dataclass(frozen=True)
class Explanation:
    """Of B images, n instances each."""

    codes: Tensor  # (B, n, code_dim), of the image turned
    turns: Tensor  # (B, n) by so many quarter turns


@torch.no_grad()
def best_of_turns(
    encoder: nn.Module, generator: Generator, images: Tensor, *, count: int, turns: int
) -> Explanation:
    """What the encoder finds in `turns` quarter turns of each image, the best `count` of it.

    Args:
        images: (B, 1, S, S).
        turns: 1 to 4; 1 is the encoder's own explanation.
    """
    found = [
        explain(encoder, generator, images.rot90(k, (2, 3)), count=count) for k in range(turns)
    ]
    codes = torch.cat(found, dim=1)  # (B, turns * count, code_dim)
    by = torch.arange(turns, device=codes.device).repeat_interleave(count).expand(len(codes), -1)
    if turns > 1:
        alone = turned_back(generator.render_both(codes)[1].float(), by)
        pairs = zip(alone, images.float())
        chosen = torch.stack([_chosen(each, image[0], count) for each, image in pairs])
        codes = codes.gather(1, chosen[..., None].expand(-1, -1, codes.shape[-1]))
        by = by.gather(1, chosen)
    return Explanation(codes, by)


def _chosen(alone: Tensor, image: Tensor, count: int) -> Tensor:
    """Indices of `count` of the instances (M, S, S) that together render the image (S, S) well.

    Begun with the best turn's own instances; then each is exchanged for the one of all that makes
    the error least, as long as that helps.
    """
    sets = torch.arange(len(alone), device=alone.device).split(count)
    errors = torch.stack([mismatch(alone[some].amax(dim=0), image) for some in sets])
    chosen, least = sets[int(errors.argmin())].clone(), errors.min()
    for _ in range(SWEEPS):
        before = least
        for k in range(count):
            others = torch.cat([chosen[:k], chosen[k + 1 :]])
            errors = mismatch(torch.maximum(alone, alone[others].amax(dim=0)), image)
            if errors.min() < least - GAIN:
                chosen[k], least = errors.argmin(), errors.min()
        if least == before:
            break
    return chosen

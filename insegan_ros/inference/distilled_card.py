"""What a distilled network needs besides its weights, as its card holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from insegan_ros import config
from insegan_ros.distillation.clusters import VoteSettings
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.inference.confidence import Confidence
from insegan_ros.inference.existence import Existence
from insegan_ros.parts_bin import FindingConfig

TEMPLATE = 'template.logits'  # its name among a model's tensors


@dataclass(frozen=True)
class Scoring:
    """From an instance's cues to its score, without and with its pose."""

    plain: Confidence  # agreement of its votes, visible fraction
    posed: Confidence  # the same, and the pose's cost


@dataclass(frozen=True)
class DistilledCard:
    """What the network needs besides its weights; `settings` of a model's card."""

    network: NetworkConfig
    votes: VoteSettings
    voxel_m: float | None = None  # of the template beside the weights; None: there is none
    scoring: Scoring | None = None  # None: not calibrated
    # px along a part that the network was trained for; None: those of the lengths above alone
    lengths_px: tuple[float, float] | None = None
    existence: Existence | None = None  # None: all candidates are parts
    other_voxels_m: tuple[float, ...] = ()  # of the templates of kinds 2, 3, ...
    # what poses of the template cost on the frames that it was learned from; None: not measured
    usual_misfit: float | None = None
    # how the bin is found in a frame
    finding: FindingConfig = field(default_factory=FindingConfig)

    @property
    def voxels_m(self) -> tuple[float, ...]:
        """One for each template."""
        return () if self.voxel_m is None else (self.voxel_m, *self.other_voxels_m)


def template_name(kind: int) -> str:
    """Of the template of kind 1, 2, ... among a model's tensors."""
    return TEMPLATE if kind == 1 else f'{TEMPLATE}.{kind}'


def widths_of(card: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Of a model's network, by its card.

    Raises:
        ConfigError: a card of another kind of model.
    """
    return config.from_mapping(DistilledCard, card.get('settings') or {}).network.widths


def with_length(card: Mapping[str, Any], metres: float) -> dict[str, Any] | None:
    """A card's `settings` for a part of that length; None: the model knows one part alone.

    Raises:
        ValueError: that is no length.
    """
    known = config.from_mapping(DistilledCard, card.get('settings') or {})
    if known.lengths_px is None:
        return None
    return config.plain(replace(known, network=scaled(known.network, metres)))


def with_usual_misfit(card: Mapping[str, Any], cost: float) -> dict[str, Any]:
    """A card's `settings` with what poses of the template cost where the model is the part's."""
    known = config.from_mapping(DistilledCard, card.get('settings') or {})
    return config.plain(replace(known, usual_misfit=round(cost, 3)))


def scaled(network: NetworkConfig, metres: float) -> NetworkConfig:
    """The same for parts of another length.

    Raises:
        ValueError: that is no length.
    """
    if not 0.001 <= metres <= 2:
        raise ValueError(f'part length {metres} m: 0.001 to 2 m is expected')
    thickness = network.part_thickness_m * metres / network.part_length_m
    return replace(network, part_length_m=metres, part_thickness_m=thickness)

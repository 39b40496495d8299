"""A trained InSeGAN whose encoder goes on learning, and later its generator, too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from insegan_ros import config
from insegan_ros.inference import insegan, model_card
from insegan_ros.inference.insegan import InSeGANCard
from insegan_ros.inference.model_card import ModelError


@dataclass(frozen=True)
class InSeGANStart:
    """A model's folder, read when it is asked for."""

    folder: Path
    method: str  # of the run that begins with it

    @staticmethod
    def find(given: str | None, method: str) -> InSeGANStart | None:
        """None: random weights.

        Args:
            given: a name or folder, 'none' or None.

        Raises:
            ModelError: there is no such model, it is damaged, or it is of another method.
        """
        if given in (None, 'none'):
            return None
        start = InSeGANStart(model_card.find(str(given)), method)
        if start.card['method'] != method:
            raise ModelError(
                f'{start.folder} is a model of method {start.card["method"]!r}; --method {method} '
                'goes on with one of its own'
            )
        _ = start.settings, start.weights  # damaged ones are refused before anything begins
        return start

    @cached_property
    def card(self) -> dict[str, Any]:
        """All that the model says of itself."""
        return model_card.read_card(self.folder)

    @cached_property
    def settings(self) -> InSeGANCard:
        """Sizes of its networks, and the crop that they see."""
        try:
            return config.from_mapping(InSeGANCard, self.card['settings'])
        except (KeyError, config.ConfigError) as error:
            raise ModelError(f'{self.folder} cannot be gone on with: {error}') from None

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Of generator and encoder, by the names that the card's networks have."""
        networks = insegan.InSeGANNetworks(self.settings.model)
        try:
            networks.load_state_dict(model_card.load_weights(self.folder))
        except RuntimeError as error:
            reason = ' '.join(str(error).split())
            raise ModelError(f'{self.folder} does not fit its card: {reason}') from None
        return networks.state_dict()

    @property
    def images_seen(self) -> int:
        """By all its networks together, as its card says; 0 where it does not."""
        return int((self.card.get('training') or {}).get('images_seen') or 0)

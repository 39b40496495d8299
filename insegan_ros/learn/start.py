"""The model that training begins with: it finds whole parts, and stands in for one not learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros import __version__
from insegan_ros.data.store import Dataset
from insegan_ros.discovery.search import Finder
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference import distilled, distilled_card, model_card
from insegan_ros.inference.model_card import ModelError
from insegan_ros.inference.part_length import LengthFromFrames, LengthNotFoundError
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame


@dataclass(frozen=True)
class Start:
    """A model of the default method whose weights training begins with."""

    folder: Path

    @staticmethod
    def find(given: str | None) -> Start | None:
        """None: random weights.

        Args:
            given: a name or folder, 'none', or None for the one that comes with the package.

        Raises:
            ModelError: there is no such model, it is damaged, or it is of another method.
        """
        folder = model_card.find_start(given)
        if folder is None:
            return None
        start = Start(folder)
        if (method := start.card['method']) != 'distilled':
            raise ModelError(
                f'{folder} is a model of method {method!r}; to begin with, one of the method '
                'distilled is expected'
            )
        _ = start.weights  # damaged ones are refused before anything begins
        return start

    @cached_property
    def card(self) -> dict[str, Any]:
        """The card of the model that training begins with."""
        return model_card.read_card(self.folder)

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Its weights, without the template."""
        weights = model_card.load_weights(self.folder)
        weights.pop(distilled_card.TEMPLATE, None)
        return weights

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Of the network's layers."""
        return distilled_card.widths_of(self.card)

    @property
    def origin(self) -> str:
        """What a card says of the model that training began with."""
        return f'the weights of a model of {self.card.get("part")} ({self.card.get("dataset")})'

    def finder(self, device: str = 'cpu') -> Finder | None:
        """What finds whole parts of any length; None where the model knows one part alone."""
        chosen = self._of_any_length(device)
        if chosen is None:
            return None

        def finder(length_m: float) -> Callable[[DepthFrame, Bin], NDArray[np.integer]]:
            chosen.set_part_length(length_m)
            return chosen.whole_parts

        return finder

    def part_length(self, frames: Iterable[DepthFrame], device: str = 'cpu') -> float | None:
        """Metres of the part's longest side, by some frames; None where they do not show it."""
        chosen = self._of_any_length(device)
        if chosen is None:
            return None
        try:
            return LengthFromFrames(chosen).look(frames)
        except (LengthNotFoundError, FloorNotFoundError):
            return None

    def told(
        self, part_length_m: float, device: str = 'cpu'
    ) -> distilled.DistilledSegmenter | None:
        """This model, given the part's length; None where it knows one part alone."""
        chosen = self._of_any_length(device)
        if chosen is not None:
            chosen.set_part_length(part_length_m)
        return chosen

    def _of_any_length(self, device: str) -> distilled.DistilledSegmenter | None:
        """None where the model knows one part alone."""
        segmenter = model_card.load_segmenter(str(self.folder), device)
        if isinstance(segmenter, LengthFromFrames):
            return segmenter.inner
        known = isinstance(segmenter, distilled.DistilledSegmenter) and segmenter.any_length
        return segmenter if known else None  # type: ignore[return-value]

    def keep_as(self, model: Path, part_length_m: float, dataset: Dataset) -> bool:
        """Write this model, given the part's length, as the run's.

        False where it knows one part alone.
        """
        settings = distilled_card.with_length(self.card, part_length_m)
        if settings is None:
            return False
        told = f'{self.card.get("part")}, with the length of the part that unlabelled frames show'
        card = self.card | {
            'part': dataset.info.part,
            'began_with': told,
            'settings': settings,
            'frames_of_the_length': account_of(dataset),
        }
        model_card.save_model(model, card, self.weights)
        return True


def card_of(dataset: Dataset | None, part: str) -> dict[str, Any]:
    """What the card of a model learned from unlabelled frames, or none, begins with."""
    return {
        'method': 'distilled',
        'part': part,
        'made_by': f'insegan_ros {__version__}',
        'dataset': account_of(dataset),
    }


def account_of(dataset: Dataset | None) -> dict[str, Any]:
    """How many frames, and a hash that the same frames give again."""
    if dataset is None:
        return {'frames': 0}
    return {'frames': len(dataset), 'sha256': dataset.content_hash()}

"""The model that training begins with: it finds whole parts, and stands in for one not learned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros import __version__
from insegan_ros.bin import Bin
from insegan_ros.data.store import Dataset
from insegan_ros.discovery.discover import Finder
from insegan_ros.inference import distilled, distilled_card, model_card
from insegan_ros.types import DepthFrame


def whole_part_finder(model: Path, device: str = 'cpu') -> Finder | None:
    """Of a model that segments parts of any length; None where it does not."""
    segmenter = model_card.load_segmenter(str(model), device)
    if not (isinstance(segmenter, distilled.DistilledSegmenter) and segmenter.any_length):
        return None
    chosen = segmenter

    def finder(length_m: float) -> Callable[[DepthFrame, Bin], NDArray[np.integer]]:
        chosen.set_part_length(length_m)
        return chosen.whole_parts

    return finder


def keep_start(start: Path, part_length_m: float, dataset: Dataset, out: Path) -> bool:
    """Write the model that training would begin with, told the part's length, as the run's.

    False where that model knows one part alone.
    """
    card = model_card.read_card(start)
    settings = distilled_card.with_length(card, part_length_m)
    if settings is None:
        return False
    told = f'{card.get("part")}, told the length of the part that unlabelled frames tell'
    card |= {'part': dataset.info.part, 'began_with': told, 'settings': settings}
    card['frames_of_the_length'] = frames_of(dataset)
    model_card.save_model(out / 'model', card, model_card.load_weights(start))
    return True


def origin(start: Path) -> str:
    """What a card says of the model that training began with."""
    card = model_card.read_card(start)
    return f'the weights of a model of {card.get("part")} ({card.get("dataset")})'


def card_of(dataset: Dataset) -> dict[str, Any]:
    """What the card of a model learned from unlabelled frames begins with."""
    return {
        'method': 'explicit',
        'part': dataset.info.part,
        'made_by': f'insegan_ros {__version__}',
        'dataset': frames_of(dataset),
    }


def frames_of(dataset: Dataset) -> dict[str, Any]:
    """How many, and a hash of their own hashes: the same frames give the same."""
    joined = ' '.join(str(dataset.records[i].get('sha256', i)) for i in dataset.indices)
    return {'frames': len(dataset), 'sha256': hashlib.sha256(joined.encode()).hexdigest()[:16]}

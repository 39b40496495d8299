"""Trained models as folders: weights as safetensors, and a card that says what they are."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from insegan_ros.bin import Bin
from insegan_ros.types import Segmenter

CARD = 'model.yaml'
WEIGHTS = 'model.safetensors'
# beside the sources, and where an installation puts them
FOLDERS = (
    Path(__file__).parents[2] / 'models',
    Path(__file__).parents[4] / 'share' / 'insegan_ros' / 'models',
    Path(sysconfig.get_path('data')) / 'share' / 'insegan_ros' / 'models',
)


class ModelError(ValueError):
    """A model that cannot be loaded; the message says why and which there are."""


def available() -> list[str]:
    """Names of the models that come with the package."""
    found = {card.parent.name for folder in FOLDERS for card in folder.glob(f'*/{CARD}')}
    return sorted(found)


def find(name_or_path: str) -> Path:
    """The folder of a model, by its name or path.

    Raises:
        ModelError: there is none; the message lists those that come with the package.
    """
    for folder in (Path(name_or_path).expanduser(), *(f / name_or_path for f in FOLDERS)):
        if (folder / CARD).is_file():
            return folder
    names = ', '.join(available()) or 'none yet; `insegan train` makes one'
    raise ModelError(
        f'no model {name_or_path!r}: neither a folder with a {CARD} nor one that comes with the '
        f'package ({names})'
    )


def load_segmenter(
    name_or_path: str, device: str = 'cpu', bin: Bin | None = None, seed: int = 0
) -> Segmenter:
    """A trained model as a Segmenter.

    Args:
        device: where it runs: 'auto', 'cpu' or 'cuda[:index]'.
        bin: where the bin is; None: found in the frames.

    Raises:
        ModelError: no such model, a card or weights that are damaged or do not match.
    """
    folder = find(name_or_path)
    raise ModelError(f'{folder} is of a kind that this version cannot load')

"""Trained models as folders: weights as safetensors, and a card that says what they are."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros import tensors as tensor_files
from insegan_ros.config import ConfigError
from insegan_ros.device import pick_device
from insegan_ros.files import write_atomically
from insegan_ros.inference import distilled_card
from insegan_ros.parts_bin import Bin
from insegan_ros.shipped import shipped
from insegan_ros.types import DepthFrame, Segmenter

CARD = 'model.yaml'
WEIGHTS = 'model.safetensors'
ANY = 'any'  # the model of random shapes: it needs no training, and training begins with it
# a card's method -> the module whose load(settings, tensors, device, bin, seed) makes a Segmenter
METHODS = {
    'distilled': 'insegan_ros.inference.distilled',
    'insegan3d': 'insegan_ros.inference.insegan',
    'insegan2d': 'insegan_ros.inference.insegan',
    'slot_attention': 'insegan_ros.baselines.learned.learned_segmenter',
    'bo_qsa': 'insegan_ros.baselines.learned.learned_segmenter',
    'iodine': 'insegan_ros.baselines.learned.learned_segmenter',
    'wu': 'insegan_ros.baselines.learned.learned_segmenter',
}
FORMER_NAMES = {'explicit': 'distilled'}  # of methods, on cards of earlier versions


FOLDERS = shipped('models')


class ModelError(ValueError):
    """A model that cannot be loaded; the message says why and which there are."""


def available() -> list[str]:
    """Names of the models that come with the package."""
    found = {card.parent.name for folder in FOLDERS for card in folder.glob(f'*/{CARD}')}
    return sorted(found)


def find(name_or_path: str) -> Path:
    """The folder of a model, by its name or path; a length after a colon is left out.

    Raises:
        ModelError: there is none; the message lists those that come with the package.
    """
    name, _ = _told_length(name_or_path)
    for folder in (Path(name).expanduser(), *(f / name for f in FOLDERS)):
        if (folder / CARD).is_file():
            return folder
    if (parts := name.partition(':'))[1] and parts[0] in available():
        raise ModelError(
            f'{name}: {parts[2]!r} is no length in metres, as in any:0.056 for parts of 56 mm'
        )
    names = ', '.join(available()) or 'none yet; `insegan train` makes one'
    raise ModelError(
        f'no model {name_or_path!r}: neither a folder with a {CARD} nor one that comes with the '
        f'package ({names})'
    )


def load_segmenter(
    name_or_path: str,
    device: str = 'cpu',
    parts_bin: Bin | None = None,
    *,
    seed: int = 0,
) -> Segmenter:
    """A trained model as a Segmenter.

    Args:
        name_or_path: of its folder; `any:0.056` gives a model of any part the part's length, m;
            without it the frames show the length (`part_length.LengthFromFrames`).
        device: where it runs: 'auto', 'cpu' or 'cuda[:index]'.
        parts_bin: where the bin is; None: found in the frames. The length that it states counts
            where the name says none.

    Raises:
        ModelError: no such model, a card or weights that are damaged or do not match.
    """
    folder, part_length = find(name_or_path), _told_length(name_or_path)[1]
    card = read_card(folder)
    if card.get('method') not in METHODS:
        raise ModelError(
            f'{folder} is a model of method {card.get("method")!r}; this version loads '
            f'{", ".join(METHODS)}'
        )
    if part_length is None and parts_bin is not None and card.get('part') == ANY:
        part_length = parts_bin.part_length_m
    loader = importlib.import_module(METHODS[card['method']])
    try:
        tensors = _load(folder / WEIGHTS)
        if wrong := [name for name, some in tensors.items() if some.isnan().any()]:
            raise ValueError(f'{wrong[0]} of its weights is no number (NaN); train it again')
        if part_length is not None:
            card['settings'] = _with_length(card, part_length)
        segmenter = loader.load(
            card['settings'], tensors, pick_device(device), parts_bin=parts_bin, seed=seed
        )
    except ConfigError as error:
        raise ModelError(
            f'{folder} is of another version of insegan_ros, or was changed ({error}); delete '
            'that folder, and the `insegan train` that made it writes it anew'
        ) from None
    except KeyError as error:
        raise ModelError(f'{folder} cannot be loaded: it lacks {error}') from None
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f'{folder} cannot be loaded: {error}') from None
    if card.get('part') == ANY and part_length is None and segmenter.any_length:
        return importlib.import_module('insegan_ros.inference.part_length').LengthFromFrames(
            segmenter
        )
    return segmenter


def length_of_parts(
    frames: Iterable[DepthFrame], parts_bin: Bin, *, seed: int = 0
) -> tuple[float | None, str]:
    """Metres of the longest side of the parts in a bin, by the model `any`; and that in words.

    None where the frames do not show it, those of an empty bin for example.
    """
    try:
        voting = load_segmenter(ANY, parts_bin=replace(parts_bin, part_length_m=None), seed=seed)
        length_m = round(float(voting.look(frames)), 5)  # type: ignore[attr-defined]
    except ValueError as error:
        return None, str(error)
    return length_m, f'the parts are about {1e3 * length_m:.0f} mm long; if not, give it'


def _told_length(name: str) -> tuple[str, float | None]:
    """'any:0.056' -> 'any', 0.056."""
    before, colon, after = name.rpartition(':')
    try:
        return (before, float(after)) if colon else (name, None)
    except ValueError:  # a colon in a path
        return name, None


def _with_length(card: Mapping[str, Any], metres: float) -> dict[str, Any]:
    """A card's settings for parts of that length."""
    settings = None
    if card['method'] == 'distilled':
        settings = distilled_card.with_length(card, metres)
    if settings is None:
        raise ValueError('this model knows one part; a part length is for models of any part')
    return settings


def read_card(folder: Path) -> dict[str, Any]:
    """Raises: ModelError, for a card that is absent or damaged."""
    try:
        card = yaml.safe_load((folder / CARD).read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f'{folder / CARD} cannot be read: {error}') from None
    if not isinstance(card, dict):
        raise ModelError(f'{folder / CARD} holds {type(card).__name__}; a mapping is expected')
    method = str(card.get('method'))
    return card | {'method': FORMER_NAMES.get(method, method)}


def _stored(tensor: Tensor) -> NDArray:
    tensor = tensor.detach().cpu()
    return (tensor.half() if tensor.is_floating_point() else tensor).numpy()


def _load(file: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in tensor_files.load(file).items()}


def save_model(folder: Path, card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a model's folder, its card last: a folder with a card is whole.

    Weights are stored in half precision.

    Args:
        card: plain values: `method`, one of METHODS; `settings`, what its loader needs; and what
            a reader wants to know (part, how it was trained, figures).
    """
    if card.get('method') not in METHODS or 'settings' not in card:
        raise ValueError(f'a card needs settings, and a method of {", ".join(METHODS)}')
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: _stored(tensor) for name, tensor in tensors.items()}
    write_atomically(folder / WEIGHTS, tensor_files.save(whole))
    _write_card(folder, card)


def add_to_card(folder: Path, entries: Mapping[str, Any]) -> None:
    """Add plain values to a model's card, or replace those of the same names.

    Raises:
        ModelError: there is no card, or it is damaged.
    """
    _write_card(folder, read_card(folder) | dict(entries))


def _write_card(folder: Path, card: Mapping[str, Any]) -> None:
    content = yaml.safe_dump(dict(card), sort_keys=False, allow_unicode=True)
    write_atomically(folder / CARD, content.encode())


def find_start(given: str | None) -> Path | None:
    """The model whose weights training begins with; None: random weights.

    Args:
        given: a name or folder, 'none', or None for the one that comes with the package.

    Raises:
        ModelError: there is no such model.
    """
    if given == 'none' or (given is None and ANY not in available()):
        return None
    return find(given or ANY)


def load_weights(folder: Path) -> dict[str, Tensor]:
    """Raises: ModelError, for a file that holds no weights."""
    try:
        return _load(folder / WEIGHTS)
    except (OSError, ValueError) as error:
        raise ModelError(f'{folder / WEIGHTS} cannot be read: {error}') from None

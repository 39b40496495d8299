"""Pictures of random shapes kept on the device that learns, and batches of them made there.

Cameras' errors and turns cost a processor more time than the network costs a GPU; made there they
cost a tenth of it. New pictures are taken up while the network learns.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from insegan_ros.distillation.batch_noise import Draws, any_camera, d435
from insegan_ros.distillation.random_views import DEPTH_SCALE, FLOOR_ERROR_M, LENGTH_M

LOOK_S = 15.0  # between looks for more pictures
FIRST_ROOM = 1024  # pictures; doubled whenever it is full
MOST_PARTS = 64  # in a picture


@dataclass(frozen=True)
class Kind:
    """Pictures of one kind."""

    ending: str  # of their files' names: '.views.npz'
    share: float  # of a batch
    d435: bool = False  # under a D435's noise; else any camera's


class PictureBatches:
    """Batches of the pictures in a folder, a fixed share of every kind."""

    def __init__(
        self, folder: Path, kinds: Sequence[Kind], *, first: int, batch: int, device: str
    ) -> None:
        """Take up what is there.

        Args:
            first: shapes before this one are held out.
        """
        self._folder, self._first = folder, first
        self._device = torch.device(device)
        sizes = [round(batch * kind.share) for kind in kinds[1:]]
        self._sizes = dict(zip(kinds, [batch - sum(sizes), *sizes], strict=True))
        self._known: set[str] = set()
        self._places: dict[Kind, list[NDArray[np.int64]]] = {kind: [] for kind in kinds}
        self._drawn_of: dict[Kind, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self.pictures = 0
        self.look()

    def shapes(self, ending: str) -> int:
        """How many shapes have been taken up, of the kind whose files end so."""
        return sum(name.endswith(ending) for name in self._known)

    def look(self) -> None:
        """Take up what was not there before."""
        for kind in self._sizes:
            for file in sorted(self._folder.glob(f'[0-9]*{kind.ending}')):
                if file.name not in self._known and int(file.name.split('.')[0]) >= self._first:
                    self._known.add(file.name)
                    self._take(kind, file)
            if self._places[kind]:
                places = torch.from_numpy(np.concatenate(self._places[kind]))
                self._drawn_of[kind] = places.to(self._device)
        self._looked = time.monotonic()

    def __call__(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(B, 2, H, W) input and (B, 6, H, W) target, as `mixed_batch` makes them.

        Raises:
            ValueError: there are no pictures yet.
        """
        if time.monotonic() - self._looked > LOOK_S:
            self.look()
        generator = torch.Generator(self._device).manual_seed(int(rng.integers(2**62)))
        sizes = {kind: self._sizes[kind] for kind in self._drawn_of}
        if not sizes:
            raise ValueError(f'{self._folder} has no pictures of shapes to learn from')
        sizes[next(iter(sizes))] += sum(self._sizes.values()) - sum(sizes.values())
        made = []
        for kind, size in sizes.items():
            places = self._drawn_of[kind]
            drawn = torch.randint(len(places), (size,), generator=generator, device=self._device)
            made.append(self.examples(kind, places[drawn], Draws(generator, size)))
        image, target = (torch.cat(some) for some in zip(*made, strict=True))
        return turned_batch(image, target)

    def _take(self, kind: Kind, file: Path) -> None:
        """One shape's pictures, to the device."""
        with np.load(file) as stored:
            if not len(stored['counts']):
                return
            kept = {name: stored[name] for name in stored.files}
        # depth stays in its units of 16 bits: numbers without a sign are few on a GPU
        arrays = {
            'depth': kept['depth'].view(np.int16),
            'labels': kept['labels'],
            'shared': _shared(kept),
            'camera': kept['camera'][:, [0, 3]].astype(np.float32),
            'told': kept['told'].astype(np.float32),
        }
        count = len(kept['told'])
        room = len(self._kept['told']) if self._kept else 0
        while room < self.pictures + count:
            room = max(2 * room, FIRST_ROOM)
        for name, array in arrays.items():
            new = torch.from_numpy(array).to(self._device)
            held = self._kept.get(name)
            if held is None or len(held) < room:
                grown = new.new_zeros((room, *new.shape[1:]))
                if held is not None:
                    grown[: len(held)] = held
                self._kept[name] = grown
            self._kept[name][self.pictures : self.pictures + count] = new
        self._places[kind].append(np.arange(self.pictures, self.pictures + count))
        self.pictures += count

    def examples(self, kind: Kind, index: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Input and target of these pictures, not turned."""
        kept = {name: some[index] for name, some in self._kept.items()}
        units = kept['depth'].int() & 0xFFFF
        depth = torch.where(units == 0, torch.nan, units * DEPTH_SCALE)
        focal, distance = (x.view(-1, 1, 1) for x in kept['camera'].T)
        told = kept['told'].view(-1, 1, 1)
        heights = _heights(kind, depth, focal, distance=distance, draws=draws)
        valid = torch.isfinite(heights)
        scaled = torch.where(valid, heights, 0.0) / told
        image = torch.stack([scaled.clamp(-1, 4), valid.float()], dim=1)
        labels = kept['labels'].long()
        count, rows, columns = labels.shape
        wanted = labels.view(count, -1, 1).expand(-1, -1, 5)
        shared = kept['shared'].gather(1, wanted).view(count, rows, columns, 5)
        x, y, z, visible, weight = shared.unbind(dim=3)
        unit = told / (distance / focal) / 4
        u = torch.arange(columns, device=self._device)
        v = torch.arange(rows, device=self._device)[:, None]
        part = (labels > 0).float()
        target = [part, (x - u) / unit, (y - v) / unit, z / unit, visible, weight]
        return image, torch.stack(target, dim=1)


def _shared(kept: Mapping[str, NDArray]) -> NDArray[np.float32]:
    """(P, MOST_PARTS, 5) what the pixels of each instance share, as `Piles.target` has it."""
    shared = np.zeros((len(kept['told']), MOST_PARTS, 5), np.float32)
    ends = np.cumsum(kept['counts'])[:-1]
    centres, visible = np.split(kept['centres'], ends), np.split(kept['visible'], ends)
    for k, (place, seen) in enumerate(zip(centres, visible, strict=True)):
        focal, _, _, distance = kept['camera'][k]
        area = np.bincount(kept['labels'][k].ravel(), minlength=len(place) + 1)[1:]
        own = shared[k, 1 : len(place) + 1]
        own[:, :2] = place[:, :2]
        own[:, 2] = place[:, 2] / (distance / focal)
        own[:, 3] = np.clip(seen, 0, 1)
        own[:, 4] = 1 / np.sqrt(np.maximum(area, 9))  # small instances count as well
    return shared


def _heights(
    kind: Kind, depth: Tensor, focal: Tensor, *, distance: Tensor, draws: Draws
) -> Tensor:
    """(B, H, W) above the floor as measured, as `RandomView.heights` has them."""
    if kind.d435:
        level = distance + FLOOR_ERROR_M * draws.normal(distance.shape)
        return level - d435(depth, distance, draws)
    measured = any_camera(depth, focal, distance, draws=draws)
    measured = torch.where(draws.chance(0.04), depth, measured)
    level = distance + 0.012 * LENGTH_M * draws.normal(distance.shape)
    side = torch.linspace(-1, 1, depth.shape[1], device=depth.device)
    tilt = [0.006 * LENGTH_M * draws.normal(distance.shape) for _ in range(2)]
    return level + tilt[0] * side + tilt[1] * side[:, None] - measured


def turned_batch(image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Each of the eight flips and quarter turns for an eighth of the batch, votes turned too."""
    images, targets = torch.empty_like(image), torch.empty_like(target)
    for k in range(8):
        some, wanted = (torch.rot90(x[k::8], k % 4, (2, 3)).clone() for x in (image, target))
        for _ in range(k % 4):  # the image's x axis goes up (-y), its y axis to the right (x)
            wanted[:, 1], wanted[:, 2] = wanted[:, 2].clone(), -wanted[:, 1]
        if k >= 4:
            some, wanted = some.flip(3), wanted.flip(3)
            wanted[:, 1] *= -1
        images[k::8], targets[k::8] = some, wanted
    return images, targets

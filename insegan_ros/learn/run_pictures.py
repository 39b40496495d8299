"""Pictures of the default method's stages, for a person to judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insegan_ros import drawing
from insegan_ros.bin_finding import find_bin
from insegan_ros.camera import TopDownView, height_map
from insegan_ros.data.store import Dataset
from insegan_ros.distillation.examples import Piles
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference import model_card
from insegan_ros.synthetic.depth_noise import AnyCamera, DepthNoise
from insegan_ros.types import DepthFrame

SHOWN = 6  # frames in a picture
TILE = (128, 128)  # px of a frame in it


def _seen(frame: DepthFrame, rng: np.random.Generator, side: int) -> np.ndarray:
    """(side, side) heights around the bin."""
    parts_bin = find_bin(frame, rng)
    view = TopDownView.of(frame.intrinsics, parts_bin.floor, parts_bin.region)
    heights = parts_bin.floor.offset - view.rectify(frame).depth_m
    return _square(heights, side)


def _square(image: np.ndarray, side: int) -> np.ndarray:
    h, w = image.shape
    image = image[max(0, (h - side) // 2) :, max(0, (w - side) // 2) :][:side, :side]
    low = [(side - n) // 2 for n in image.shape]
    pad = [(a, side - n - a) for a, n in zip(low, image.shape)]
    return np.pad(image, pad, constant_values=np.nan)


def show_piles(
    dataset: Dataset,
    indices: list[int],
    out: Path,
    *,
    seed: int,
    errors: DepthNoise | AnyCamera | None = None,
) -> None:
    """Real frames over piles with noise: they ought to look alike."""
    stored = Dataset(out / 'piles')
    rng = np.random.default_rng([seed, 2])
    piles = Piles.load(stored, stored.indices[:SHOWN], errors)
    made = [piles.heights(k, rng) for k in range(len(piles))]
    side = made[0].shape[0]
    real = []
    for index in rng.permutation(indices)[: 3 * SHOWN]:
        try:
            real.append(_seen(dataset[int(index)].frame, rng, side))
        except FloorNotFoundError:
            continue
        if len(real) == len(made):
            break
    top = float(np.nanpercentile(np.stack(made), 99.5))
    rows = [[drawing.heights_picture(h, top) for h in row] for row in (real, made)]
    if len(real) < len(made):
        rows = rows[1:]
    drawing.save_rows(out / 'piles.png', rows)


def show_segmented(dataset: Dataset, indices: list[int], out: Path, *, seed: int) -> None:
    """What the model makes of real frames."""
    segmenter = model_card.load_segmenter(str(out / 'model'))
    rng = np.random.default_rng([seed, 3])
    row_a, row_b = [], []
    for index in rng.permutation(indices)[:SHOWN]:
        frame = dataset[int(index)].frame
        try:
            found = segmenter.segment(frame)
            parts_bin = find_bin(frame, rng)
        except FloorNotFoundError:
            continue
        heights = height_map(frame, parts_bin.floor)
        x, y, w, h = parts_bin.region or (0, 0, *reversed(heights.shape))
        window = np.s_[y : y + h, x : x + w]
        side = max(w, h, 96)
        shown = _square(heights[window], side)
        labels = np.nan_to_num(_square(found.labels[window].astype(np.float32), side)).astype(int)
        top = float(np.nanpercentile(shown, 99.5))
        row_a.append(drawing.fit(drawing.heights_picture(shown, top), TILE))
        row_b.append(drawing.fit(drawing.labels_picture(shown, labels, top), TILE))
    if row_a:
        drawing.save_rows(out / 'segmented.png', [row_a, row_b])

"""Whether scores mean what they say: of instances scored .8, four in five should be right.

An instance is right if its mask has an IoU of .75 or more with a true one. Of a model of any part
it is asked on pictures of random shapes that neither taught it nor calibrated it, with a length
as wrong as users may give it; of any model on a dataset with labels. *As it was* is the score of a
model that is not calibrated: agreement of the votes times the root of the visible fraction.

    python benchmarks/reliability.py --shapes shapes           # makes 30 shapes first
    python benchmarks/reliability.py --model nut --dataset ~/bins/nut --limit 50
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import Plane
from insegan_ros.data.store import Dataset
from insegan_ros.distillation.pretrain import ShapesConfig, load_shapes, store_shapes
from insegan_ros.distillation.random_views import LENGTH_M
from insegan_ros.evaluation.metrics import iou_matrix
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.parts_bin import Bin
from insegan_ros.picks.chance import expected_calibration_error
from insegan_ros.types import DepthFrame

RIGHT_IOU = 0.75
SEED = 9  # of shapes that neither taught nor calibrated a model that comes with the package
Scored = tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.bool_]]


def scored(
    segmenter: DistilledSegmenter,
    frame: DepthFrame,
    labels: NDArray[np.integer],
    *,
    parts_bin: Bin | None = None,
) -> Scored:
    """Each instance's score as it was and as the card has it, and whether its mask is right."""
    found = segmenter.find(frame, parts_bin)
    ious = iou_matrix(found.labels, labels)
    right = ious.max(axis=1, initial=0) >= RIGHT_IOU
    return found.agreement * np.sqrt(found.visible), segmenter.scores(found), right


def of_shapes(name: str, folder: Path) -> Iterator[Scored]:
    """On pictures of random shapes."""
    config = ShapesConfig(shapes=30)
    if not folder.exists():
        list(store_shapes(config, folder, SEED, workers=2))
    segmenter = loaded(name if ':' in name else f'{name}:{LENGTH_M}')
    pictures = [view for views in load_shapes(folder, config) for view in views]
    for k, (view, told) in enumerate(pictures):
        height = float(view.camera_height[0])
        depth = height - view.heights(0, np.random.default_rng([3, k]))
        segmenter.set_part_length(told.part_length_m)
        frame = DepthFrame(depth.astype(np.float32), view.intrinsics)
        parts_bin = Bin(Plane((0.0, 0.0, -1.0), height))
        yield scored(segmenter, frame, view.labels[0], parts_bin=parts_bin)


def of_dataset(name: str, folder: Path, limit: int | None) -> Iterator[Scored]:
    """On frames whose labels are known."""
    dataset, segmenter = Dataset(folder), loaded(name)
    for index in dataset.indices[:limit]:
        sample = dataset[index]
        if sample.labels is None:
            raise SystemExit(f'{folder}: frame {index} has no labels, which tell what is right')
        yield scored(segmenter, sample.frame, sample.labels)


def loaded(name: str) -> DistilledSegmenter:
    """A model by name or folder.

    Raises:
        SystemExit: it is of another method, whose scores are made of other cues.
    """
    segmenter = model_card.load_segmenter(name)
    if not isinstance(segmenter, DistilledSegmenter):
        raise SystemExit(f'{name}: a model of the method "distilled" is expected')
    return segmenter


def show(title: str, scores: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
    """Print the expected calibration error, and tenth by tenth what is promised and kept."""
    error = expected_calibration_error(scores, right)
    print(f'{title}: {len(right)} instances, mean score {scores.mean():.3f}, '
          f'right {right.mean():.3f}, expected calibration error {error:.3f}')  # fmt: skip
    tenth = np.minimum((scores * 10).astype(int), 9)
    for k in np.unique(tenth):
        some = tenth == k
        promised, kept = scores[some].mean(), right[some].mean()
        print(f'  {k / 10:.1f} {some.sum():6} instances: score {promised:.2f}, right {kept:.2f}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='any', help='by name or folder, any:<length> included')
    parser.add_argument('--shapes', type=Path, help='a folder of 30 shapes; made if absent')
    parser.add_argument('--dataset', type=Path, help='frames with labels instead')
    parser.add_argument('--limit', type=int, help='of so many of its frames (default: all)')
    args = parser.parse_args()
    if (args.shapes is None) == (args.dataset is None):
        parser.error('either --shapes or --dataset is expected')
    if args.shapes is not None:
        rows = list(of_shapes(args.model, args.shapes))
    else:
        rows = list(of_dataset(args.model, args.dataset, args.limit))
    before, now, right = (np.concatenate(column) for column in zip(*rows, strict=True))
    if not len(right):
        raise SystemExit('nothing was found, so that there are no scores')
    show('as it was', before, right)
    show('by the card', now, right)


if __name__ == '__main__':
    main()

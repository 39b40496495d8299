"""The picture of docs/results.md: every part's median frame, by K-means, `any`, its own model.

python benchmarks/parts_sheet.py --sets sets --out docs/models.png     # sets/<part>: datasets
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from insegan_ros import baselines, drawing
from insegan_ros.data.store import Dataset
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.evaluation.pictures import enlarged, labels_of, windows_around
from insegan_ros.inference import model_card
from insegan_ros.synthetic.parts import PARTS, make_part

SIZE = (160, 160)  # px of a frame in the sheet
TITLE, CAPTION = 28, 190  # px above and beside the frames


def column(dataset: Dataset, part: str, frames: int) -> dict[str, np.ndarray]:
    """Pictures of the frame on which the part's model is neither good nor bad."""
    samples = [dataset[index] for index in dataset.split('test')[:frames]]
    methods = {
        'K-means, given 5': baselines.make('kmeans', 5),
        'any with the length': model_card.load_segmenter(
            f'{model_card.ANY}:{make_part(part).length:.3f}'
        ),
        'own model': model_card.load_segmenter(part),
    }
    # all of them see all frames: they find the bin in several
    found = {
        name: [labels_of(method, sample.frame) for sample in samples]
        for name, method in methods.items()
    }
    scores = [strict_miou(each, s.labels) for each, s in zip(found['own model'], samples)]
    middle = int(np.argsort(scores)[len(scores) // 2])
    frame, truth = samples[middle].frame, np.asarray(samples[middle].labels)
    rows = {
        'depth': np.zeros_like(truth),
        **{name: labels[middle] for name, labels in found.items()},
        'truth': truth,
    }
    (window,) = windows_around([[truth]])  # K-means may take some of the floor
    return {
        name: enlarged(drawing.picture(frame, labels)[window]) for name, labels in rows.items()
    }


def caption(text: str, size: tuple[int, int]) -> np.ndarray:
    """(height, width, 3) white on dark, in the middle of the height."""
    image = np.full((size[1], size[0], 3), drawing.BACKGROUND, np.uint8)
    cv2.putText(image, text, (8, size[1] // 2 + 6), 0, 0.52, (235,) * 3, 1, cv2.LINE_AA)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sets', type=Path, required=True, help='folder of datasets by part')
    parser.add_argument('--out', type=Path, default=Path('docs/models.png'))
    parser.add_argument('--frames', type=int, default=41, help='of the test split (41)')
    args = parser.parse_args()
    known = [part for part in PARTS if part in model_card.available()]
    parts = [part for part in known if (args.sets / part).is_dir()]
    columns = [column(Dataset(args.sets / part), part, args.frames) for part in parts]
    titles = [caption(part, (SIZE[0], TITLE)) for part in parts]
    rows = [[caption('', (CAPTION, TITLE)), *titles]]
    for name in columns[0]:
        row = [cv2.resize(each[name], SIZE, interpolation=cv2.INTER_AREA) for each in columns]
        rows.append([caption(name, (CAPTION, SIZE[1])), *row])
    drawing.save_rows(args.out, [[np.hstack(row)] for row in rows], scale=1)
    print(f'{args.out}: {", ".join(parts)}')


if __name__ == '__main__':
    main()

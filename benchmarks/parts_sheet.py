"""The picture of docs/results.md: every part's median frame, by K-means, `any`, its own model.

python benchmarks/parts_sheet.py --sets sets --out docs/models.png     # sets/<part>: datasets
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from insegan_ros import baselines, drawing
from insegan_ros.commands.evaluate_picture import enlarged, labels_of, windows_around
from insegan_ros.data.store import Dataset
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.inference import model_card
from insegan_ros.synthetic.parts import PARTS, make_part

SIZE = (144, 144)  # px of a frame in the sheet


def column(dataset: Dataset, part: str, frames: int) -> dict[str, np.ndarray]:
    """Pictures of the frame on which the part's model is neither good nor bad."""
    trained = model_card.load_segmenter(part)
    samples = [dataset[index] for index in dataset.split('test')[:frames]]
    found = [labels_of(trained, sample.frame) for sample in samples]
    scores = [strict_miou(each, s.labels) for each, s in zip(found, samples)]
    middle = int(np.argsort(scores)[len(scores) // 2])
    frame, truth = samples[middle].frame, np.asarray(samples[middle].labels)
    kmeans = baselines.make('kmeans', int(truth.max()))
    unseen = model_card.load_segmenter(f'{model_card.ANY}:{make_part(part).length:.3f}')
    rows = {
        'depth': np.zeros_like(truth),
        'K-means, told the count': labels_of(kmeans, frame),
        'any: never seen it': labels_of(unseen, frame),
        'trained, no labels': found[middle],
        'truth': truth,
    }
    (window,) = windows_around([list(rows.values())])
    return {
        name: enlarged(drawing.picture(frame, labels)[window]) for name, labels in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--sets', type=Path, required=True, help='folder of datasets by part')
    parser.add_argument('--out', type=Path, default=Path('docs/models.png'))
    parser.add_argument('--frames', type=int, default=41, help='of the test split (41)')
    args = parser.parse_args()
    known = [part for part in PARTS if part in model_card.available()]
    parts = [part for part in known if (args.sets / part).is_dir()]
    columns = [column(Dataset(args.sets / part), part, args.frames) for part in parts]
    rows = []
    for name in columns[0]:
        row = [cv2.resize(each[name], SIZE, interpolation=cv2.INTER_AREA) for each in columns]
        for thickness, shade in ((3, 0), (1, 255)):
            cv2.putText(row[0], name, (3, 12), 0, 0.36, (shade,) * 3, thickness, cv2.LINE_AA)
        rows.append(row)
    drawing.save_rows(args.out, rows, scale=1)
    print(f'{args.out}: {", ".join(parts)}')


if __name__ == '__main__':
    main()

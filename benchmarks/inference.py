"""One 848 x 480 frame to masks: a trained model beside the fastest classical methods.

python benchmarks/inference.py --model nut --threads 2
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from insegan_ros import baselines
from insegan_ros.inference import model_card
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.types import DepthFrame, Segmenter


def milliseconds(segmenter: Segmenter, frames: list[DepthFrame]) -> tuple[float, float]:
    """Median and 95th percentile of a frame, after a first one that finds the bin."""
    segmenter.segment(frames[0])
    spent = []
    for frame in frames:
        begun = time.perf_counter()
        segmenter.segment(frame)
        spent.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(spent)), float(np.percentile(spent, 95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='nut', help='by name or folder')
    parser.add_argument('--part', default='nut')
    parser.add_argument('--frames', type=int, default=40)
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = SceneConfig(part=args.part, camera='d435')
    frames = [make_scene(config, (99, k)).frame for k in range(args.frames)]
    contenders: dict[str, Segmenter] = {
        args.model: model_card.load_segmenter(args.model),
        'kmeans': baselines.make('kmeans', 5),
        'felzenszwalb': baselines.make('felzenszwalb'),
    }
    results = {name: milliseconds(each, frames) for name, each in contenders.items()}
    peer = results['kmeans'][0]
    print(f'{"method":16} {"median ms":>10} {"95 % ms":>9} {"of kmeans":>10}')
    for name, (median, slow) in results.items():
        print(f'{name:16} {median:10.1f} {slow:9.1f} {median / peer:10.2f}')


if __name__ == '__main__':
    main()

"""One 848 x 480 frame to masks: a trained model beside the fastest classical methods.

python benchmarks/inference.py --model nut --threads 2
python benchmarks/inference.py --model any:0.056 --instances 20 --bin-width 2.6

Beside the time on the clock it shows that of the processor, which other work changes less.
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


def milliseconds(segmenter: Segmenter, frames: list[DepthFrame]) -> tuple[float, float, float]:
    """Median and 95th percentile of a frame, and the median of its processor time.

    A first frame, in which the bin is found, does not count.
    """
    segmenter.segment(frames[0])
    spent, worked = [], []
    for frame in frames:
        begun, processor = time.perf_counter(), time.process_time()
        segmenter.segment(frame)
        spent.append(1e3 * (time.perf_counter() - begun))
        worked.append(1e3 * (time.process_time() - processor))
    return float(np.median(spent)), float(np.percentile(spent, 95)), float(np.median(worked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='nut', help='by name or folder')
    parser.add_argument('--part', default='nut')
    parser.add_argument('--instances', type=int, default=5, help='parts in the bin')
    parser.add_argument('--bin-width', type=float, help="in part lengths (default: the part's)")
    parser.add_argument('--frames', type=int, default=40)
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    count = args.instances
    config = SceneConfig(
        part=args.part, instances=(count, count), camera='d435', bin_width=args.bin_width
    )
    frames = [make_scene(config, (99, k)).frame for k in range(args.frames)]
    contenders: dict[str, Segmenter] = {
        args.model: model_card.load_segmenter(args.model),
        'kmeans': baselines.make('kmeans', count),
        'felzenszwalb': baselines.make('felzenszwalb'),
    }
    results = {name: milliseconds(each, frames) for name, each in contenders.items()}
    peer = results['kmeans'][0]
    print(f'{"method":16} {"median ms":>10} {"95 % ms":>9} {"processor":>10} {"of kmeans":>10}')
    for name, (median, slow, worked) in results.items():
        print(f'{name:16} {median:10.1f} {slow:9.1f} {worked:10.1f} {median / peer:10.2f}')


if __name__ == '__main__':
    main()

"""Do slots separate? Two discs on an empty floor, a minute or two of one core for each method.

python benchmarks/discs.py                     # slot_attention, bo_qsa
python benchmarks/discs.py --methods iodine --steps 2000 --seeds 0 1 2

Prints the strict mIoU on discs that were not learned from, by step. One mask over both discs has
.26, a cut through the middle of the image about .4.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

from insegan_ros.baselines.learned.registry import METHODS, build
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.training.descent import Descent, DescentConfig

sys.path.append(str(Path(__file__).parents[1] / 'test' / 'baselines'))
from toys import discs

SIZE, BATCH = 16, 16
SMALL = {
    'slot_attention': {'channels': 16, 'width': 32, 'hidden': 32, 'stride': 1},
    'bo_qsa': {'channels': 16, 'width': 32, 'hidden': 32, 'stride': 1},
    'iodine': {'channels': 16, 'latent': 8, 'hidden': 32},
    'wu': {'points': 40, 'samples': 96},
}


def separate(name: str, seed: int, steps: int) -> None:
    torch.manual_seed(seed)
    network = build(name, {'instances': 2, 'image_size': SIZE, **SMALL[name]})
    images, _ = discs(512, SIZE, seed)
    unseen, true = discs(32, SIZE, seed + 100)
    config = DescentConfig(batch=BATCH, learning_rate=3e-3, warm_up=30, half_life=500)
    descent, generator = Descent(network, network.losses, config), torch.Generator()
    generator.manual_seed(seed)
    fixed = torch.randn(len(unseen), *network.noise_shape, generator=generator)
    begun = time.perf_counter()
    for k in range(1, steps + 1):
        some = images[torch.randint(len(images), (BATCH,), generator=generator)]
        noise = torch.randn(BATCH, *network.noise_shape, generator=generator)
        loss = float(descent.step(some, noise)['total'])
        if k % 100 == 0 or k == steps:
            found = network.labels(unseen, fixed).numpy()
            score = np.mean([strict_miou(a, b) for a, b in zip(found, true.numpy())])
            seconds = time.perf_counter() - begun
            print(
                f'{name}, seed {seed}: step {k}, {seconds:.0f} s, loss {loss:.4f}, '
                f'strict mIoU {score:.3f}',
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--methods', nargs='+', choices=list(METHODS), default=['slot_attention', 'bo_qsa']
    )
    parser.add_argument('--steps', type=int, default=600)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    args = parser.parse_args()
    for name in args.methods:
        for seed in args.seeds:
            separate(name, seed, args.steps)


if __name__ == '__main__':
    main()

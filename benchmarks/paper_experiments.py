"""What benchmarks/paper.py compares: each experiment's trials, and the paper's own figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# as the columns of the paper's table 1
PARTS = (
    *('nut', 'stopper', 'cylinder', 'bolt', 'cone', 'connector', 'five_pin'),
    *('obj_01', 'obj_14', 'obj_05', 'block'),
)
INSTA_10 = PARTS[:10]
CLASSICAL = ('kmeans', 'spectral', 'grabcut_kmeans', 'graph_cut', 'felzenszwalb')
LEARNED = ('wu', 'iodine', 'slot_attention', 'bo_qsa', 'insegan2d', 'insegan3d')
TITLES = {
    'kmeans': 'K-means',
    'spectral': 'Spectral clustering',
    'grabcut_kmeans': 'GrabCut + K-means',
    'graph_cut': 'Graph cut',
    'felzenszwalb': 'Graph segmentation',
    'wu': 'Wu et al., our reconstruction',
    'iodine': 'IODINE',
    'slot_attention': 'Slot Attention',
    'bo_qsa': 'BO-QSA',
    'insegan2d': 'InSeGAN 2-D',
    'insegan3d': 'InSeGAN 3-D',
}
# mIoU, in the order of INSTA_10
_TABLE_1 = {
    'kmeans': (0.64, 0.297, 0.7, 0.18, 0.35, 0.554, 0.628, 0.208, 0.496, 0.59),
    'spectral': (0.56, 0.36, 0.54, 0.22, 0.41, 0.56, 0.58, 0.25, 0.47, 0.57),
    'grabcut_kmeans': (0.572, 0.232, 0.572, 0.472, 0.231, 0.519, 0.497, 0.597, 0.557, 0.605),
    'graph_cut': (0.569, 0.1, 0.589, 0.447, 0.12, 0.476, 0.12, 0.597, 0.54, 0.511),
    'wu': (0.45, 0.28, 0.57, 0.27, 0.33, 0.38, 0.43, 0.23, 0.44, 0.57),
    'iodine': (0.026, 0.059, 0.019, 0.04, 0.089, 0.032, 0.034, 0.058, 0.053, 0.118),
    'slot_attention': (0.375, 0.276, 0.535, 0.43, 0.68, 0.662, 0.628, 0.655, 0.622, 0.481),
    'insegan2d': (0.215, 0.365, 0.258, 0.524, 0.435, 0.585, 0.628, 0.365, 0.286, 0.532),
    'insegan3d': (0.773, 0.301, 0.76, 0.539, 0.47, 0.655, 0.642, 0.686, 0.591, 0.483),
}
PUBLISHED = {
    (method, part): value
    for method, values in _TABLE_1.items()
    for part, value in zip(INSTA_10, values, strict=True)
}
# losses of the encoder (table 2): settings, and the paper's mIoU of bolt and obj_01
LOSSES = {
    'all': ((), {'bolt': 0.424, 'obj_01': 0.686}),
    'greedy': (('step.losses.matching=greedy',), {'bolt': 0.383, 'obj_01': 0.664}),
    'without_L_p': (('step.losses.pose=0',), {'bolt': 0.312, 'obj_01': 0.36}),
    'L_a_alone': (
        ('step.losses.pose=0', 'step.losses.intermediate=0'),
        {'bolt': 0.303, 'obj_01': 0.402},
    ),
}
BLOCKS = {'kmeans': 0.797, 'spectral': 0.668, 'felzenszwalb': 0.436, 'insegan3d': 0.857}
SUBSETS = (100, 300, 1000, 3000)  # frames (figure 4a)
ASSUMED = tuple(range(1, 8))  # instances, of images with five (figure 4b)


@dataclass(frozen=True)
class Trial:
    """A method on a part with some settings."""

    name: str  # of its folder
    part: str
    method: str
    variant: str = ''  # a row of table 2, or a figure's x
    settings: tuple[str, ...] = ()  # `--set` of `insegan train`
    published: float | None = None

    def row(self, work: Path, split: str) -> dict[str, Any] | None:
        """What is known of it, or None before it is judged."""
        result = work / 'r' / f'{self.name}.{split}' / 'results.json'
        if not result.exists():
            return None
        summary = json.loads(result.read_text())['runs'][0]['summary']
        card = work / 'runs' / self.name / 'model' / 'model.yaml'
        told = yaml.safe_load(card.read_text()) if card.exists() else {}
        training = told.get('training', {})
        return {
            'part': self.part,
            'method': self.method,
            'variant': self.variant,
            'published': self.published,
            'paper_miou': summary['paper_miou'],
            'strict_miou': summary['strict_miou'],
            'frames': told.get('dataset', {}).get('frames'),
            'images_seen': training.get('images_seen'),
            'processor': training.get('processor'),
            'seconds': training.get('seconds'),
        }


@dataclass(frozen=True)
class Experiment:
    """Its trials, for the parts that are wanted, and the frames that they are judged on."""

    trials: Callable[[Sequence[str]], list[Trial]]
    parts: tuple[str, ...]
    split: str


def table_1(parts: Sequence[str]) -> list[Trial]:
    return [
        Trial(f'{method}.{part}', part, method, published=PUBLISHED.get((method, part)))
        for part in parts
        for method in (*CLASSICAL[:4], *LEARNED)
    ]


def table_2(parts: Sequence[str]) -> list[Trial]:
    """The paper's encoder, which names all latents at once: its losses are those of the table."""
    paper = ('model.encoder=latents',)
    return [
        Trial(
            f'insegan3d.{part}.{name}', part, 'insegan3d', name, (*paper, *settings),
            published.get(part),
        )
        for part in parts
        for name, (settings, published) in LOSSES.items()
    ]  # fmt: skip


def table_3(parts: Sequence[str]) -> list[Trial]:
    return [
        Trial(f'{method}.{part}', part, method, published=BLOCKS.get(method))
        for part in parts
        for method in ('kmeans', 'spectral', 'felzenszwalb', 'bo_qsa', 'insegan3d')
    ]


def figure_4a(parts: Sequence[str]) -> list[Trial]:
    return [
        Trial(f'insegan3d.{part}.{n}_frames', part, 'insegan3d', str(n), (f'data.limit={n}',))
        for part in parts
        for n in SUBSETS
    ]


def figure_4b(parts: Sequence[str]) -> list[Trial]:
    return [
        Trial(
            f'insegan3d.{part}.{n}_assumed', part, 'insegan3d', str(n),
            (f'model.instances={n}', 'data.allow_other_count=true'),
        )
        for part in parts
        for n in ASSUMED
    ]  # fmt: skip


EXPERIMENTS = {
    'table1': Experiment(table_1, INSTA_10, 'test'),
    'table2': Experiment(table_2, ('bolt', 'obj_01'), 'test'),
    'table3': Experiment(table_3, ('block',), 'all'),
    'figure4a': Experiment(figure_4a, ('bolt', 'obj_01'), 'test'),
    'figure4b': Experiment(figure_4b, ('bolt', 'obj_01'), 'test'),
}

"""Scenes and datasets: same seed, same bytes, however they were made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insegan_ros.cli import main
from insegan_ros.synthetic.generate import SceneConfig, make_scene


def generate(out: Path, *extra: str) -> None:
    command = ['generate', '--part', 'nut', '--count', '4', '--out', str(out), '--workers', '1']
    assert main([*command, *extra]) == 0


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob('*')) if p.is_file() and p.name != '.lock')
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_the_same_seed_gives_the_same_scene() -> None:
    config = SceneConfig()
    first, other, again = (make_scene(config, seed) for seed in (1, 2, 1))
    np.testing.assert_array_equal(first.frame.depth_m, again.frame.depth_m)
    assert not np.array_equal(first.labels, other.labels)


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    generate(tmp_path / 'one')
    generate(tmp_path / 'two', '--workers', '2')
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two')

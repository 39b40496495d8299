"""`benchmarks/paper.py`: every table and figure by its command, with what trains replaced."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

import paper

SUMMARY = {'paper_miou': 0.5, 'strict_miou': 0.4}
CARD = {
    'dataset': {'frames': 30},
    'training': {'images_seen': 12_345, 'seconds': 90, 'processor': 'a processor'},
}


class Commands:
    """In place of the package's commands: writes what they would, and remembers them."""

    def __init__(self) -> None:
        self.run: list[str] = []

    def __call__(self, work: paper.Work, *arguments: str | Path, log: str) -> None:
        given = [str(a) for a in arguments]
        self.run.append(f'{given[0]} {log}')
        out = Path(given[given.index('--out') + 1])
        if given[0] == 'generate':
            out.mkdir(parents=True)
            (out / 'splits.yaml').touch()
        elif given[0] == 'calibrate':
            out.touch()
        elif given[0] == 'train':
            (out / 'model').mkdir(parents=True, exist_ok=True)
            (out / 'checkpoint.pt').touch()
            if not (out / 'model/model.yaml').exists():
                (out / 'model/model.yaml').write_text(yaml.safe_dump(CARD))
        else:
            out.mkdir(parents=True)
            (out / 'results.json').write_text(json.dumps({'runs': [{'summary': SUMMARY}]}))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    fake = Commands()
    monkeypatch.setattr(paper.Work, 'insegan', lambda work, *a, log: fake(work, *a, log=log))
    return fake


def run(experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> str:
    page = tmp_path / 'results.md'
    if not page.exists():
        page.write_text('# Results\n')
    line = ['paper.py', experiment, '--work', str(tmp_path / 'work'), '--results', str(page)]
    monkeypatch.setattr(sys, 'argv', [*line, '--minutes', '0.1', *more])
    paper.main()
    return page.read_text()


@pytest.mark.parametrize(
    ('experiment', 'told'),
    [
        ('table1', '0.500 (0.539)'),
        ('table2', '| InSeGAN 3-D | bolt   | greedy      | 0.383     |'),
        ('table3', '0.857'),
        ('figure4a', 'paper_figure4a.png'),
        ('figure4b', 'paper_figure4b.png'),
    ],
)
def test_each_experiment_ends_in_its_section_beside_published_values(
    experiment: str, told: str, tmp_path: Path, commands: Commands, monkeypatch
) -> None:
    page = run(experiment, tmp_path, monkeypatch)
    assert told in page
    assert '12,345' in page
    assert 'a processor' in page
    plots = list(tmp_path.glob('paper_*.png'))
    assert len(plots) == experiment.startswith('figure')
    trained = [line for line in commands.run if line.startswith('train')]
    assert len(trained) == len(set(trained)) > 0


def test_the_same_command_goes_on_and_judges_only_what_is_new(
    tmp_path: Path, commands: Commands, monkeypatch
) -> None:
    first = run('figure4b', tmp_path, monkeypatch, '--parts', 'bolt')
    commands.run.clear()
    assert run('figure4b', tmp_path, monkeypatch, '--parts', 'bolt') == first
    assert {line.split()[0] for line in commands.run} == {'train'}  # which goes on by itself
    commands.run.clear()
    run('figure4b', tmp_path, monkeypatch, '--parts', 'bolt', '--minutes', '0')
    assert not commands.run

"""`insegan export-template` and `export-model`: what was learned, for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from insegan_ros.cli import main
from insegan_ros.inference import model_card


def test_a_learned_shape_becomes_a_mesh_of_its_size(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / 'nut.stl'
    assert main(['export-template', 'nut', '--mesh', str(file), '--millimetres']) == 0
    sides = sorted(trimesh.load_mesh(str(file)).extents)
    assert 40 < sides[-1] < 70  # mm; the true nut is 56 mm long
    assert 'diameter_mm' in capsys.readouterr().out


def test_it_is_compared_with_the_true_mesh(capsys: pytest.CaptureFixture) -> None:
    assert main(['export-template', 'nut', '--compare', 'nut']) == 0
    lines = dict(line.split(': ') for line in capsys.readouterr().out.splitlines())
    assert 0.005 < float(lines['chamfer_of_diameter']) < 0.05


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['nowhere', '--mesh', 'a.stl'], 'no model'),
        (['nut', '--mesh', 'a.txt'], '.stl'),
        (['nut', '--compare', 'spoon'], 'neither a file'),
    ],
)
def test_what_cannot_be_exported_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(['export-template', *arguments]) == 1
    assert told in capsys.readouterr().err


def test_onnx_answers_as_the_model_does_at_any_size(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    pytest.importorskip('onnx', reason='onnx is not installed')
    file = tmp_path / 'nut.onnx'
    assert main(['export-model', 'nut', '--onnx', str(file)]) == 0
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    network = model_card.load_segmenter('nut').network  # type: ignore[attr-defined]
    for size in ((48, 48), (112, 96)):
        image = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = network(image).numpy()
        found = session.run(None, {'heights': image.numpy()})[0]
        assert found.shape == (1, 6, *size)
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()

"""A model's network as ONNX, for runtimes without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter

TOLERANCE = 1e-3  # between ONNX Runtime and PyTorch, of the outputs' largest value


def write_onnx(model: str, file: Path) -> float:
    """Write the network of a model of the default method, and check the file against PyTorch.

    Args:
        model: its name or folder.

    Returns:
        The greatest difference of the answers, as a share of their largest value.

    Raises:
        ValueError: a package is absent, the model has no such network, or the answers differ.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ValueError(f'{error}: pip install onnx onnxruntime') from None
    segmenter = model_card.load_segmenter(model)
    if not isinstance(segmenter, DistilledSegmenter):
        raise ValueError(f'{model} is no model of the default method; it has no such network')
    network = segmenter.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    file.parent.mkdir(parents=True, exist_ok=True)
    sides = {2: 'height', 3: 'width'}
    torch.onnx.export(
        network,
        (torch.rand(1, 2, 96, 128),),
        str(file),
        input_names=['heights'],
        output_names=['votes'],
        dynamic_axes={'heights': sides, 'votes': sides},
        dynamo=False,
    )
    onnx.checker.check_model(str(file))
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    other = torch.rand(1, 2, 64, 80)
    with torch.inference_mode():
        expected = network(other).numpy()
    found = session.run(None, {'heights': other.numpy()})[0]
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if difference > TOLERANCE:
        raise ValueError(f'{file} differs from the model by {difference:.2g}; not usable')
    return difference

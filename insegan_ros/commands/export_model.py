"""Turn a model's network into ONNX, for runtimes without PyTorch.

The network is exported, not the geometry around it: its input is (1, 2, H, W), the height above
the bin's floor in part lengths and 1 where it was measured, H and W multiples of 16, at the scale
that the card states; its output (1, 6, H, W): part logit, the centre's offset in x and y and its
height in vote units, log spread, visible fraction. The file is checked against PyTorch.

example:
  insegan export-model nut --onnx nut.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path

TOLERANCE = 1e-3  # between ONNX Runtime and PyTorch, of the outputs' largest value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('model', help="a model's name or folder")
    parser.add_argument('--onnx', type=Path, required=True, help='file to write')


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    import numpy as np
    import torch

    from insegan_ros.inference import model_card
    from insegan_ros.inference.distilled import DistilledSegmenter

    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ValueError(f'{error}: pip install onnx onnxruntime') from None

    segmenter = model_card.load_segmenter(args.model)
    if not isinstance(segmenter, DistilledSegmenter):
        raise ValueError(f'{args.model} is no model of the default method; it has no such network')
    network = segmenter.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    image = torch.rand(1, 2, 96, 128)
    args.onnx.parent.mkdir(parents=True, exist_ok=True)
    sides = {2: 'height', 3: 'width'}
    torch.onnx.export(
        network,
        (image,),
        str(args.onnx),
        input_names=['heights'],
        output_names=['votes'],
        dynamic_axes={'heights': sides, 'votes': sides},
        dynamo=False,
    )
    onnx.checker.check_model(str(args.onnx))
    session = onnxruntime.InferenceSession(str(args.onnx), providers=['CPUExecutionProvider'])
    other = torch.rand(1, 2, 64, 80)
    with torch.inference_mode():
        expected = network(other).numpy()
    found = session.run(None, {'heights': other.numpy()})[0]
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if difference > TOLERANCE:
        raise ValueError(f'{args.onnx} differs from the model by {difference:.2g}; not usable')
    print(
        f'written: {args.onnx}, {args.onnx.stat().st_size / 1e6:.1f} MB; differs {difference:.1g}'
    )
    return 0

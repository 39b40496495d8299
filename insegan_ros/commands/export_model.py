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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('model', help="a model's name or folder")
    parser.add_argument('--onnx', type=Path, required=True, help='file to write')


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    from insegan_ros.inference.onnx_file import write_onnx

    difference = write_onnx(args.model, args.onnx)
    size_mb = args.onnx.stat().st_size / 1e6
    print(f'written: {args.onnx}, {size_mb:.1f} MB; differs {difference:.1g}')
    return 0

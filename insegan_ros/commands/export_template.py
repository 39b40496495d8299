"""Turn a learned shape into a mesh: a CAD model for a part that had none.

The source is a model with a template, by name or folder, or the folder that `insegan template` or
`insegan train` wrote. Units are metres; --millimetres scales for CAD programs and printers. With
--compare the surface is aligned to a true mesh, and the chamfer distance is printed.

examples:
  insegan export-template nut --mesh nut.stl --millimetres
  insegan export-template ~/runs/nut/template --mesh nut.ply
  insegan export-template nut --compare nut
  insegan export-template ~/runs/nut/template --compare true_part.stl
"""

from __future__ import annotations

import argparse
from pathlib import Path

FORMATS = ('.stl', '.ply', '.obj', '.glb', '.off')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this command."""
    parser.add_argument('source', help="a model's name or folder, or a template's folder")
    parser.add_argument('--mesh', type=Path, help=f'file to write: {", ".join(FORMATS)}')
    parser.add_argument('--millimetres', action='store_true', help='write mm instead of metres')
    parser.add_argument(
        '--compare', metavar='PART|FILE', help='a simulated part or a mesh file in metres'
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the command; the exit code of the process."""
    import numpy as np

    from insegan_ros.discovery.accuracy import compare
    from insegan_ros.evaluation.pose_benchmark import true_mesh, with_template
    from insegan_ros.model.template import CARD, Template

    if args.mesh is not None and args.mesh.suffix.lower() not in FORMATS:
        raise ValueError(f'--mesh {args.mesh}: the name should end in {", ".join(FORMATS)}')
    true = true_mesh(args.compare) if args.compare else None
    bare = (Path(args.source) / CARD).exists()
    found = Template.load(args.source) if bare else with_template(args.source).poses[0].template
    mesh = found.mesh()
    box = sorted(mesh.bounding_box_oriented.primitive.extents * 1e3, reverse=True)
    print(f'size_mm: {" x ".join(f"{side:.1f}" for side in box)}')
    print(f'diameter_mm: {1e3 * found.diameter_m:.1f}')
    print(f'volume_cm3: {1e6 * mesh.volume:.2f}')
    if true is not None:
        accuracy = compare(mesh, true, np.random.default_rng(0))
        print(f'chamfer_mm: {1e3 * accuracy.chamfer_m:.2f}')
        print(f'chamfer_of_diameter: {accuracy.relative:.4f}')
        print(f'volume_of_true: {mesh.volume / true.volume:.3f}')
    if args.mesh is not None:
        if args.millimetres:
            mesh.apply_scale(1e3)
        args.mesh.parent.mkdir(parents=True, exist_ok=True)
        mesh.export(str(args.mesh))
        print(f'written: {args.mesh}, {len(mesh.faces)} faces')
    return 0

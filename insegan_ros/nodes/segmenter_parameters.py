"""What the segmenter node can be told, and the method or model that follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from insegan_ros import baselines
from insegan_ros.bin import load_bin
from insegan_ros.nodes.parameters import Parameter
from insegan_ros.types import Segmenter

PARAMETERS = (
    Parameter('method', 'kmeans', f'without a model: {", ".join(baselines.METHODS)}'),
    Parameter(
        'model',
        '',
        'a trained model, by name or folder, or any:<length of the part in metres>; empty: '
        'the method',
    ),
    Parameter('instances', 0, 'parts in the bin; 0: estimated in each frame', 0, 255),
    Parameter('bin_file', '', 'from `insegan calibrate`; empty: the bin is found in the frames'),
    Parameter(
        'pose_seconds',
        0.2,
        "a frame's, for 6-DoF poses of a model with a template, while ~/poses or a rendered "
        'topic is heard, 0: rough poses; and for an InSeGAN model to refine what it found',
        0.0,
        60.0,
    ),
    Parameter('device', 'auto', 'where a model runs: auto, cpu or cuda[:index]'),
    Parameter('depth_unit', 0.0, 'metres a unit of the images; 0: 16-bit mm, float m', 0.0, 1.0),
    Parameter('continuous', True, 'segment every frame; false: only on a call of ~/segment'),
    Parameter(
        'gripper',
        'cup_9mm',
        'for ~/picks: by the name of one that comes with the package, or a YAML file',
    ),
    Parameter('reliable', False, 'ask the camera for reliable delivery instead of best effort'),
    Parameter('max_instances', 100, 'the best are published; more mean no bin', 1, 1000),
    Parameter(
        'max_seconds',
        5.0,
        "a frame's, besides pose_seconds; then it is given up with a warning",
        0.1,
        3600.0,
    ),
    Parameter(
        'max_latency',
        2.0,
        'seconds from an image to its answer, beyond which /diagnostics warns',
        0.0,
        3600.0,
    ),
)
LIVE = ('method', 'model', 'instances', 'bin_file', 'device')  # these build a new segmenter
FIXED = ('reliable', 'gripper')  # only while unconfigured


def make_segmenter(given: Mapping) -> Segmenter:
    """The method or model that the parameters ask for.

    Raises:
        ValueError: no such method, model or device, or a bin file that cannot be read.
    """
    bin = load_bin(Path(given['bin_file']).expanduser()) if given['bin_file'] else None
    if given['model']:
        from insegan_ros.inference import model_card  # torch: seconds and 200 MB

        return model_card.load_segmenter(given['model'], given['device'], bin)
    if not re.fullmatch(r'auto|cpu|cuda(:\d+)?', given['device']):
        raise ValueError(f'device is {given["device"]!r}; auto, cpu or cuda[:index] is expected')
    return baselines.make(given['method'], given['instances'] or None, bin)


def ignored(given: Mapping) -> list[str]:
    """What is asked for and has no effect, in words."""
    said = []
    if given['model'] and given['instances']:
        said.append(f'instances = {given["instances"]} is ignored: a model finds the number')
    if not given['model'] and given['device'].startswith('cuda'):
        said.append(f'device = {given["device"]} is ignored: methods run on the processor')
    return said

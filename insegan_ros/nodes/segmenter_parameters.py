"""The parameters of the segmenter node, and the method or model that follows from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from insegan_ros import baselines
from insegan_ros.nodes.parameters import Parameter
from insegan_ros.parts_bin import load_bin
from insegan_ros.types import Segmenter
from insegan_ros.view_limits import ViewLimits, limited, parse_region

DEFAULT_MODEL = 'any'  # it estimates the part's length from the first frames
PARAMETERS = (
    Parameter(
        'method',
        '',
        f'a classical method instead of the model: {", ".join(baselines.METHODS)}',
    ),
    Parameter(
        'model',
        DEFAULT_MODEL,
        'a trained model, by its name or folder, or any:<length of the part in metres>; with '
        '`any` alone the length is estimated from the first frames; it is used where no method '
        'is given',
    ),
    Parameter(
        'instances', 0, 'how many parts are in the bin; 0 estimates it in each frame', 0, 255
    ),
    Parameter(
        'bin_file',
        '',
        'a file of `insegan calibrate`; if it is empty, the bin is found in the frames',
    ),
    Parameter(
        'region',
        '',
        'x,y,width,height in px: the window of the image outside which nothing counts; if it is '
        'empty, the whole image counts',
    ),
    Parameter(
        'max_depth',
        0.0,
        'what is further from the camera than so many metres does not count; 0 means no limit',
        0.0,
        100.0,
    ),
    Parameter(
        'pose_seconds',
        0.2,
        'the time that each frame may take for 6-DoF poses, if the model has a template and '
        'somebody listens to ~/poses or a rendered topic; 0 gives rough poses',
        0.0,
        60.0,
    ),
    Parameter(
        'answer_seconds',
        0.3,
        'the time from an image to its whole answer, picks included, that poses leave room for: '
        'they get pose_seconds or what is left of this, whichever is less, and those that are '
        'not made in time are rough ones',
        0.01,
        60.0,
    ),
    Parameter('device', 'auto', 'the device that a model runs on: auto, cpu or cuda[:index]'),
    Parameter(
        'depth_unit',
        0.0,
        'metres that one unit of the images stands for; 0 means mm in 16 bits, m in floats',
        0.0,
        1.0,
    ),
    Parameter('continuous', True, 'segment every frame; if false, only on a call of ~/segment'),
    Parameter(
        'gripper',
        'cup_9mm',
        'what ~/picks are planned for: the name of a gripper of the package, or a YAML file; '
        'of several, with commas between, each part gets that whose calibrated chance is best',
    ),
    Parameter(
        'tf_picks',
        0,
        'how many of the best picks are sent to tf, as the frames pick_1, pick_2, ... of the tool',
        0,
        100,
    ),
    Parameter(
        'collision_seconds',
        0.0,
        'the parts are obstacles on ~/planning_scene, and taken away if no frame came for so many '
        'seconds; 0 means none are sent',
        0.0,
        3600.0,
    ),
    Parameter('reliable', False, 'ask the camera for reliable instead of best-effort delivery'),
    Parameter(
        'max_instances',
        100,
        'at most so many instances are published, the best of them; more mean that no bin is seen',
        1,
        1000,
    ),
    Parameter(
        'max_stack_mb',
        200.0,
        'instance_masks and instance_depths hold one image for each instance: at most so many MB '
        'of them are published in one message, those of the best instances; after a message of '
        'more than 4 MB the node waits 1 ms for each MB, so that receivers keep up',
        1.0,
        4000.0,
    ),
    Parameter(
        'max_seconds',
        5.0,
        'the time after which a frame is given up with a warning, without pose_seconds',
        0.1,
        3600.0,
    ),
    Parameter(
        'max_latency',
        2.0,
        '/diagnostics warns if the answer to an image comes later than so many seconds',
        0.0,
        3600.0,
    ),
)
LIVE = (
    'method',
    'model',
    'instances',
    'bin_file',
    'region',
    'max_depth',
    'device',
)  # these build a new segmenter
FIXED = ('reliable', 'gripper', 'tf_picks', 'collision_seconds')  # only while unconfigured


def segmenter_from_parameters(given: Mapping) -> Segmenter:
    """The method or model that the parameters ask for.

    Raises:
        ValueError: no such method, model or device, no window, or a bin file that cannot be read.
    """
    region = parse_region(given['region']) if given['region'] else None
    return limited(_unlimited(given), ViewLimits(region, given['max_depth'] or None))


def _unlimited(given: Mapping) -> Segmenter:
    parts_bin = load_bin(Path(given['bin_file']).expanduser()) if given['bin_file'] else None
    if not given['method']:
        if not given['model']:
            raise ValueError(
                f'neither a model nor a method is given; model: a name or folder, or '
                f'any:<length of the part in metres>; method: {", ".join(baselines.METHODS)}'
            )
        from insegan_ros.inference import model_card  # torch: seconds and 200 MB

        return model_card.load_segmenter(given['model'], given['device'], parts_bin)
    if not re.fullmatch(r'auto|cpu|cuda(:\d+)?', given['device']):
        raise ValueError(f'device is {given["device"]!r}; auto, cpu or cuda[:index] is expected')
    return baselines.make(given['method'], given['instances'] or None, parts_bin)


def ignored(given: Mapping) -> list[str]:
    """What is asked for and has no effect, in words."""
    said = []
    if given['method'] and given['model'] not in ('', DEFAULT_MODEL):
        said.append(f'model = {given["model"]} is ignored: method is {given["method"]}')
    if not given['method'] and given['instances']:
        said.append(f'instances = {given["instances"]} is ignored: a model finds the number')
    if given['method'] and given['device'].startswith('cuda'):
        said.append(f'device = {given["device"]} is ignored: methods run on the processor')
    if given['pose_seconds'] > given['answer_seconds']:
        said.append(
            f'pose_seconds = {given["pose_seconds"]} is more than answer_seconds = '
            f'{given["answer_seconds"]}, in which all is to be done: poses get less'
        )
    return said

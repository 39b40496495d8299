"""The segmenter, and what sends it depth images.

ros2 launch insegan_ros segment.launch.py                       a RealSense on this machine
ros2 launch insegan_ros segment.launch.py camera:=none          realsense-ros runs already
ros2 launch insegan_ros segment.launch.py camera:=orbbec        its driver runs already
ros2 launch insegan_ros segment.launch.py model:=any:0.045      parts 45 mm long, never seen before
ros2 launch insegan_ros segment.launch.py camera:=simulated method:=felzenszwalb
ros2 launch insegan_ros segment.launch.py camera:=replay path:=$HOME/bins/nut model:=nut
"""

from ament_index_python.packages import get_package_share_path
from launch_ros.actions import Node

from insegan_ros.nodes.arguments import Argument
from insegan_ros.nodes.cameras import PRESETS, listed
from insegan_ros.nodes.launching import camera_remappings, chosen_values, description, said

SHARE = get_package_share_path('insegan_ros')
CAMERAS = tuple(PRESETS)
# their values are the segmenter's parameters; an empty one leaves the parameter as it is
CHOSEN = (
    Argument(
        'model', '', 'a trained model, by name or folder, or any:<length of the part in metres>'
    ),
    Argument('method', '', 'a classical method instead of a model'),
    Argument('instances', '', 'parts in the bin, for a method; 0: estimated', int),
    Argument('bin_file', '', 'where the bin is, from `insegan calibrate`'),
    Argument('pose_seconds', '', "a frame's, for poses; 0: rough poses", float),
    Argument('device', '', 'where a model runs: auto, cpu or cuda[:index]'),
    Argument('continuous', '', 'false: segment only on a call of ~/segment', bool),
    Argument('reliable', '', 'ask the camera for reliable delivery', bool),
)
ARGUMENTS = (
    Argument('camera', 'realsense', listed(CAMERAS), choices=CAMERAS),
    Argument('path', '', 'with camera:=replay, the recording: a dataset, images, or a bag'),
    *CHOSEN,
    Argument('depth_topic', '', "depth images: in, or to be sent; empty: the camera's"),
    Argument('camera_info_topic', '', "their camera_info; empty: the camera's"),
    Argument('depth_unit', '', "metres a unit of the images; empty: the camera's", float),
    Argument(
        'params_file', str(SHARE / 'config' / 'segmenter.yaml'), "the segmenter's parameters"
    ),
    Argument('namespace', '', 'of the nodes'),
    Argument('use_sim_time', 'false', 'take the time from /clock', bool),
    Argument('log_level', 'info', 'debug, info, warn, error or fatal'),
)


def nodes(given):
    camera = PRESETS[given['camera']]
    if given['camera'] == 'replay' and not given['path']:
        raise ValueError('camera:=replay needs path:=<a dataset, a folder of images, or a bag>')
    common = {
        'package': 'insegan_ros',
        'namespace': given['namespace'] or '',
        'remappings': camera_remappings(camera, given),
        'ros_arguments': ['--log-level', given['log_level']],
        'output': 'screen',
    }
    clock = {'use_sim_time': given['use_sim_time']}
    chosen = chosen_values(CHOSEN, given)
    unit = camera.depth_unit if given['depth_unit'] is None else given['depth_unit']
    if unit:
        chosen['depth_unit'] = unit
    yield Node(executable='segmenter', parameters=[given['params_file'], chosen, clock], **common)
    if camera.executable:
        config = str(SHARE / 'config' / f'{camera.executable}.yaml')
        replay = {'path': given['path']} if given['camera'] == 'replay' else {}
        yield Node(executable=camera.executable, parameters=[config, replay, clock], **common)
    if camera.trigger:
        yield said(f'frames come when they are asked for: {camera.trigger}')


def generate_launch_description():
    return description(SHARE, ARGUMENTS, nodes)

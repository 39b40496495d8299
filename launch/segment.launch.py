"""The segmenter, and what sends it depth images.

ros2 launch insegan_ros segment.launch.py                       a RealSense on this machine
ros2 launch insegan_ros segment.launch.py camera:=none          realsense-ros runs already
ros2 launch insegan_ros segment.launch.py camera:=orbbec        its driver runs already
ros2 launch insegan_ros segment.launch.py model:=any:0.045      parts 45 mm long, never seen before
ros2 launch insegan_ros segment.launch.py camera:=simulated instances:=8
ros2 launch insegan_ros segment.launch.py camera:=replay path:=$HOME/bins/nut model:=nut
"""

from ament_index_python.packages import get_package_share_path
from launch_ros.actions import Node

from insegan_ros.nodes.arguments import Argument
from insegan_ros.nodes.cameras import PRESETS, listed, require_libraries
from insegan_ros.nodes.launching import camera_remappings, chosen_values, description, said

SHARE = get_package_share_path('insegan_ros')
CAMERAS = tuple(PRESETS)
# their values are the segmenter's parameters; an empty one leaves the parameter as it is
CHOSEN = (
    Argument(
        'model',
        '',
        'a trained model, by its name or folder, or any:<length of the part in metres>',
    ),
    Argument('method', '', 'a classical method instead of a model'),
    Argument(
        'instances',
        '',
        'how many parts are in the bin, for a method (0 estimates it) and in a simulated one',
        int,
    ),
    Argument('bin_file', '', 'a file of `insegan calibrate`, which says where the bin is'),
    Argument('region', '', 'x,y,width,height in px: the window of the image that counts'),
    Argument('max_depth', '', 'what is further away than so many metres does not count', float),
    Argument(
        'pose_seconds',
        '',
        'the time that each frame may take for poses; 0 gives rough poses',
        float,
    ),
    Argument(
        'answer_seconds',
        '',
        'the time from an image to its picks: poses get what is left of it',
        float,
    ),
    Argument('device', '', 'the device that a model runs on: auto, cpu or cuda[:index]'),
    Argument('continuous', '', 'segment every frame; if false, only on a call of ~/segment', bool),
    Argument('reliable', '', 'ask the camera for reliable instead of best-effort delivery', bool),
)
ARGUMENTS = (
    Argument('camera', 'realsense', listed(CAMERAS), choices=CAMERAS),
    Argument('path', '', 'the recording for camera:=replay: a dataset, images, or a bag'),
    *CHOSEN,
    Argument('depth_topic', '', "the topic of the depth images; if it is empty, the camera's own"),
    Argument(
        'camera_info_topic', '', "the topic of their camera_info; if it is empty, the camera's own"
    ),
    Argument('depth_unit', '', 'metres that one unit of the images stands for', float),
    Argument(
        'params_file',
        str(SHARE / 'config' / 'segmenter.yaml'),
        "the file with the segmenter's parameters",
    ),
    Argument('rviz', 'false', 'show points, picks and the overlay in RViz', bool),
    Argument('namespace', '', 'the namespace of the nodes'),
    Argument('use_sim_time', 'false', 'take the time from /clock', bool),
    Argument('log_level', 'info', 'what is logged: debug, info, warn, error or fatal'),
)


def nodes(given):
    camera = PRESETS[given['camera']]
    require_libraries(camera)
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
        shown = {'path': given['path']} if given['camera'] == 'replay' else {}
        if given['camera'] == 'simulated' and given['instances']:
            shown = {'instances': given['instances']}
        yield Node(executable=camera.executable, parameters=[config, shown, clock], **common)
    if given['rviz']:
        settings = str(SHARE / 'config' / 'segment.rviz')
        yield Node(package='rviz2', executable='rviz2', arguments=['-d', settings])
    if camera.trigger:
        yield said(f'frames come when they are asked for: {camera.trigger}')


def generate_launch_description():
    return description(SHARE, ARGUMENTS, nodes)

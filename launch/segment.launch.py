"""The segmenter, and what sends it depth images.

ros2 launch insegan_ros segment.launch.py                       a RealSense on this machine
ros2 launch insegan_ros segment.launch.py camera:=none          realsense-ros runs already
ros2 launch insegan_ros segment.launch.py model:=any:0.045      parts 45 mm long, never seen before
ros2 launch insegan_ros segment.launch.py camera:=simulated method:=felzenszwalb
ros2 launch insegan_ros segment.launch.py camera:=replay path:=$HOME/bins/nut model:=nut
"""

from ament_index_python.packages import get_package_share_path
from launch_ros.actions import Node

from insegan_ros.nodes.arguments import Argument
from insegan_ros.nodes.launching import description

SHARE = get_package_share_path('insegan_ros')
CAMERAS = {'realsense': 'camera', 'replay': 'camera', 'simulated': 'bin_simulator', 'none': None}
ARGUMENTS = (  # an empty one leaves the parameter as it is
    Argument(
        'camera',
        'realsense',
        'what sends depth images; none: a driver that runs already',
        choices=tuple(CAMERAS),
    ),
    Argument('path', '', 'with camera:=replay, the recording: a dataset, PNGs, or a bag'),
    Argument(
        'model', '', 'a trained model, by name or folder, or any:<length of the part in metres>'
    ),
    Argument('method', '', 'a classical method instead of a model'),
    Argument('device', '', 'auto, cpu or cuda[:index]'),
    Argument(
        'params_file', str(SHARE / 'config' / 'segmenter.yaml'), "the segmenter's parameters"
    ),
    Argument('namespace', '', 'of the nodes'),
    Argument(
        'depth_topic', '/camera/camera/depth/image_rect_raw', 'depth images: in, or to be sent'
    ),
    Argument('camera_info_topic', '/camera/camera/depth/camera_info', 'their camera'),
    Argument('use_sim_time', 'false', 'take the time from /clock', bool),
    Argument('log_level', 'info', 'debug, info, warn, error or fatal'),
)


def nodes(given):
    common = {
        'package': 'insegan_ros',
        'namespace': given['namespace'] or '',
        'remappings': [
            ('depth/image', given['depth_topic']),
            ('depth/camera_info', given['camera_info_topic']),
        ],
        'ros_arguments': ['--log-level', given['log_level']],
        'output': 'screen',
    }
    clock = {'use_sim_time': given['use_sim_time']}
    chosen = {name: given[name] for name in ('model', 'method', 'device') if given[name]}
    if 'method' in chosen:
        chosen.setdefault('model', '')  # the file names one, which would go before the method
    yield Node(executable='segmenter', parameters=[given['params_file'], chosen, clock], **common)
    executable = CAMERAS[given['camera']]
    if executable:
        config = str(SHARE / 'config' / f'{executable}.yaml')
        replay = {'path': given['path'] or ''} if given['camera'] == 'replay' else {}
        yield Node(executable=executable, parameters=[config, replay, clock], **common)


def generate_launch_description():
    return description(SHARE, ARGUMENTS, nodes)

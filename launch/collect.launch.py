"""The collector, and on request a camera or the whole simulated cell.

ros2 launch insegan_ros collect.launch.py dataset:=$HOME/bins/nut part:=nut
    rehearses: the arm stays still; with dry_run:=false it moves, once a person calls
ros2 service call /collector/start std_srvs/srv/Trigger
ros2 launch insegan_ros collect.launch.py camera:=simulated arm:=simulated dry_run:=false \
    start:=true dataset:=nuts part:=nut count:=20
"""

from ament_index_python.packages import get_package_share_path
from launch_ros.actions import Node

from insegan_ros.nodes.arguments import Argument
from insegan_ros.nodes.launching import description

SHARE = get_package_share_path('insegan_ros')
CAMERAS = ('none', 'realsense', 'simulated')
ARGUMENTS = (
    Argument('dataset', '', 'the folder that grows'),
    Argument('part', '', 'what lies in the bin'),
    Argument('count', '1000', 'frames wanted in all', int),
    Argument('instances', '0', 'parts in the bin; 0: unknown', int),
    Argument(
        'camera', 'none', 'none: a driver runs already; realsense: start one', choices=CAMERAS
    ),
    Argument('arm', 'real', 'simulated: the camera then too', choices=('real', 'simulated')),
    Argument('dry_run', 'true', 'everything but motion; false: the arm moves', bool),
    Argument('start', 'false', 'begin without a call of ~/start', bool),
    Argument(
        'params_file', str(SHARE / 'config' / 'collector.yaml'), "the arm's names and limits"
    ),
    Argument('depth_topic', '/camera/camera/depth/image_rect_raw', 'depth images'),
    Argument('camera_info_topic', '/camera/camera/depth/camera_info', 'their camera'),
    Argument('run_stop_topic', '/software_runstop_enabled', 'std_msgs/Bool, true: stop'),
    Argument('use_sim_time', 'false', 'take the time from /clock', bool),
)


def nodes(given):
    remappings = [
        ('depth/image', given['depth_topic']),
        ('depth/camera_info', given['camera_info_topic']),
        ('run_stop', given['run_stop_topic']),
    ]
    common = {'package': 'insegan_ros', 'remappings': remappings, 'output': 'screen'}
    clock = {'use_sim_time': given['use_sim_time']}
    names = ('dataset', 'part', 'count', 'instances', 'dry_run', 'start')
    chosen = {name: given[name] for name in names if given[name] is not None}
    arm_simulated = given['arm'] == 'simulated'
    if arm_simulated:
        topic = {'arm.interface': 'topic', 'arm.topic': 'joint_trajectory'}
        chosen |= topic | {'require_run_stop': False}
    if arm_simulated or given['camera'] == 'simulated':
        shown = {'instances': given['instances'] or 5, 'held': arm_simulated, 'bin_width': 0.2}
        if given['part']:
            shown['part'] = given['part']
        yield Node(executable='bin_simulator', parameters=[shown, clock], **common)
    elif given['camera'] == 'realsense':
        yield Node(executable='camera', parameters=[clock], **common)
    yield Node(executable='collector', parameters=[given['params_file'], chosen, clock], **common)


def generate_launch_description():
    return description(SHARE, ARGUMENTS, nodes)

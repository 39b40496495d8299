"""The collector, and on request a camera or the whole simulated cell.

ros2 launch insegan_ros collect.launch.py dataset:=$HOME/bins/nut part:=nut
    rehearses: the arm stays still; with dry_run:=false it moves, once a person calls
ros2 service call /collector/start std_srvs/srv/Trigger
ros2 launch insegan_ros collect.launch.py camera:=simulated arm:=simulated dry_run:=false \
    start:=true dataset:=nuts part:=nut count:=20
"""

from ament_index_python.packages import get_package_share_path
from launch_ros.actions import Node

from insegan_ros.nodes.launching import description

SHARE = get_package_share_path('insegan_ros')
ARGUMENTS = {
    'dataset': ('', 'the folder that grows'),
    'part': ('', 'what lies in the bin'),
    'count': ('1000', 'frames wanted in all'),
    'instances': ('0', 'parts in the bin; 0: unknown'),
    'camera': ('none', 'none: a driver runs already; realsense: start one; simulated'),
    'arm': ('real', 'real, or simulated (the camera then too)'),
    'dry_run': ('true', 'everything but motion'),
    'start': ('false', 'begin without a call of ~/start'),
    'params_file': (str(SHARE / 'config' / 'collector.yaml'), "the arm's names and limits"),
    'depth_topic': ('/camera/camera/depth/image_rect_raw', 'depth images'),
    'camera_info_topic': ('/camera/camera/depth/camera_info', 'their camera'),
    'run_stop_topic': ('/software_runstop_enabled', 'std_msgs/Bool, true: stop'),
}
CHOICES = {'camera': ['none', 'realsense', 'simulated'], 'arm': ['real', 'simulated']}


def nodes(given):
    remappings = [
        ('depth/image', given['depth_topic']),
        ('depth/camera_info', given['camera_info_topic']),
        ('run_stop', given['run_stop_topic']),
    ]
    common = {'package': 'insegan_ros', 'remappings': remappings, 'output': 'screen'}
    chosen = {name: given[name] for name in ('dataset', 'part')}
    chosen |= {name: int(given[name]) for name in ('count', 'instances')}
    chosen |= {name: given[name] == 'true' for name in ('dry_run', 'start')}
    arm_simulated = given['arm'] == 'simulated'
    if arm_simulated:
        topic = {'arm.interface': 'topic', 'arm.topic': 'joint_trajectory'}
        chosen |= topic | {'require_run_stop': False}
    if arm_simulated or given['camera'] == 'simulated':
        shown = {'part': given['part'], 'instances': int(given['instances']) or 5}
        shown |= {'held': arm_simulated, 'bin_width': 0.2}
        yield Node(executable='bin_simulator', parameters=[shown], **common)
    elif given['camera'] == 'realsense':
        yield Node(executable='camera', **common)
    yield Node(executable='collector', parameters=[given['params_file'], chosen], **common)


def generate_launch_description():
    return description(SHARE, ARGUMENTS, CHOICES, nodes)

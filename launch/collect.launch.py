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
from insegan_ros.nodes.cameras import PRESETS, listed, require_libraries
from insegan_ros.nodes.launching import camera_remappings, chosen_values, description

SHARE = get_package_share_path('insegan_ros')
# a camera that takes frames only when asked would count as silent
CAMERAS = tuple(n for n, preset in PRESETS.items() if n != 'replay' and not preset.trigger)
CHOSEN = (  # their values are the collector's parameters
    Argument('dataset', '', 'the folder of the dataset that grows'),
    Argument('part', '', 'the name of the part in the bin'),
    Argument('count', '1000', 'how many frames the dataset shall have', int),
    Argument('instances', '0', 'how many parts are in the bin; 0 means unknown', int),
    Argument('dry_run', 'true', 'do everything but move the arm; if false, the arm moves', bool),
    Argument('start', 'false', 'begin without waiting for a call of ~/start', bool),
)
ARGUMENTS = (
    *CHOSEN,
    Argument('camera', 'none', listed(CAMERAS), choices=CAMERAS),
    Argument('arm', 'real', 'simulated also simulates the camera', choices=('real', 'simulated')),
    Argument(
        'params_file',
        str(SHARE / 'config' / 'collector.yaml'),
        "the file with the arm's names and limits",
    ),
    Argument('depth_topic', '', "the topic of the depth images; if it is empty, the camera's own"),
    Argument(
        'camera_info_topic', '', "the topic of their camera_info; if it is empty, the camera's own"
    ),
    Argument('depth_unit', '', 'metres that one unit of the images stands for', float),
    Argument(
        'run_stop_topic',
        '/software_runstop_enabled',
        'a topic with std_msgs/Bool; true stops the arm',
    ),
    Argument('namespace', '', 'the namespace of the nodes'),
    Argument('use_sim_time', 'false', 'take the time from /clock', bool),
    Argument('log_level', 'info', 'what is logged: debug, info, warn, error or fatal'),
)


def nodes(given):
    arm_simulated = given['arm'] == 'simulated'
    camera = PRESETS['simulated' if arm_simulated else given['camera']]
    require_libraries(camera)
    common = {
        'package': 'insegan_ros',
        'namespace': given['namespace'] or '',
        'remappings': [
            *camera_remappings(camera, given),
            ('run_stop', given['run_stop_topic']),
        ],
        'ros_arguments': ['--log-level', given['log_level']],
        'output': 'screen',
    }
    clock = {'use_sim_time': given['use_sim_time']}
    chosen = chosen_values(CHOSEN, given)
    unit = camera.depth_unit if given['depth_unit'] is None else given['depth_unit']
    if unit:
        chosen['depth_unit'] = unit
    if arm_simulated:
        topic = {'arm.interface': 'topic', 'arm.topic': 'joint_trajectory'}
        chosen |= topic | {'require_run_stop': False}
    if camera.executable == 'bin_simulator':
        shown = {'instances': given['instances'] or 5, 'held': arm_simulated, 'bin_width': 0.2}
        if given['part']:
            shown['part'] = given['part']
        yield Node(executable='bin_simulator', parameters=[shown, clock], **common)
    elif camera.executable:
        yield Node(executable=camera.executable, parameters=[clock], **common)
    yield Node(executable='collector', parameters=[given['params_file'], chosen, clock], **common)


def generate_launch_description():
    return description(SHARE, ARGUMENTS, nodes)

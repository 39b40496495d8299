"""What `camera:=NAME` of the launch files stands for: who sends depth images, and how.

Topics and units are those of each driver's own documentation; a launch argument overrides each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from insegan_ros.optional import SIMULATION, require_installed

REALSENSE = '/camera/camera/depth/image_rect_raw', '/camera/camera/depth/camera_info'
MILLIMETRE = 0.001


@dataclass(frozen=True)
class CameraPreset:
    """A source of depth images, a node of this package or a driver that runs already."""

    description: str
    depth_topic: str
    camera_info_topic: str
    executable: str | None = None  # of this package, to be started
    depth_unit: float = 0.0  # metres a unit; 0: 16UC1 millimetres or 32FC1 metres (REP 118)
    trigger: str = ''  # what has a frame taken; empty: they come by themselves


PRESETS = {
    'realsense': CameraPreset('a RealSense on this machine', *REALSENSE, executable='camera'),
    'simulated': CameraPreset('a simulated bin', *REALSENSE, executable='bin_simulator'),
    'replay': CameraPreset('a recording: see path', *REALSENSE, executable='camera'),
    'none': CameraPreset('a driver that runs already, by default realsense-ros', *REALSENSE),
    'orbbec': CameraPreset(
        'OrbbecSDK_ROS2 runs already; some models count in 0.1 mm: depth_unit:=0.0001',
        '/camera/depth/image_raw',
        '/camera/depth/camera_info',
    ),
    'zivid': CameraPreset(
        'zivid_camera runs already',
        '/depth/image',
        '/depth/camera_info',
        trigger='ros2 service call /capture std_srvs/srv/Trigger',
    ),
    'oak': CameraPreset(
        'depthai_ros_driver runs already', '/oak/stereo/image_raw', '/oak/stereo/camera_info'
    ),
    'photoneo': CameraPreset(
        'phoxi_camera runs already, with frameSettings.DepthMap: true',
        '/depth',
        '/frameInfo/currentCamera',
        depth_unit=MILLIMETRE,  # 32FC1, but millimetres
        trigger='ros2 service call /phoxi_camera/trigger_frame phoxi_camera_msgs/srv/TriggerFrame',
    ),
}


def require_libraries(camera: CameraPreset) -> None:
    """Raises: MissingLibraryError, where what a camera is simulated with is not installed."""
    if camera.executable == 'bin_simulator':
        require_installed('a simulated camera', SIMULATION)


def listed(names: tuple[str, ...]) -> str:
    """The presets for the help of a launch argument."""
    return '; '.join(f'{name}: {PRESETS[name].description}' for name in names)


def scales(depth_unit: float) -> dict[str, Any]:
    """For `frame_from_messages`: metres a unit of either encoding; 0: as REP 118 has it."""
    return {'depth_scale': depth_unit, 'float_scale': depth_unit} if depth_unit else {}

"""`make view`: the stream and what is made of it, live in the rerun viewer.

Starts a simulated bin, or recorded frames, and the segmenter, and shows depth, labels, the cloud
and the poses until the viewer is closed or Ctrl-C.

examples:
  make view PART=bolt
  make view FRAMES=~/bins/nut
  python -m insegan_ros.demos.view --save bin.rrd --seconds 10     without a display
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
import rerun as rr
import rerun.blueprint as rrb
from geometry_msgs.msg import PoseArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from sensor_msgs_py import point_cloud2

from insegan_ros.data.depth_messages import stamp_ns
from insegan_ros.demos.demo_recorder import pixels
from insegan_ros.demos.processes import (
    DemoError,
    DemoProcesses,
    add_arguments,
    demo_parser,
    prepare_environment,
)
from insegan_ros.drawing import palette
from insegan_ros.seeds import require_seed

AXIS_M = 0.03
LAYOUT = rrb.Horizontal(
    rrb.Spatial3DView(origin='camera', contents=['camera/points', 'camera/poses/**']),
    rrb.Vertical(
        rrb.Spatial2DView(origin='camera/image', contents='camera/image/depth'),
        rrb.Spatial2DView(origin='camera/image', contents='camera/image/labels'),
    ),
    column_shares=[3, 2],
)


class Viewer(Node):
    """Hands every message on to rerun, on the timeline of the camera's stamps."""

    def __init__(self) -> None:
        super().__init__('viewer')
        sensor, newest = qos_profile_sensor_data, QoSProfile(depth=1)
        self.create_subscription(Image, 'depth/image', self._on_depth, sensor)
        self.create_subscription(CameraInfo, 'depth/camera_info', self._on_camera, sensor)
        self.create_subscription(Image, 'segmenter/label_image', self._on_labels, newest)
        self.create_subscription(PointCloud2, 'segmenter/points', self._on_points, newest)
        self.create_subscription(PoseArray, 'segmenter/poses', self._on_poses, newest)
        colours = [(k, f'{k}', tuple(c)) for k, c in enumerate(palette(64)[:, ::-1].tolist(), 1)]
        rr.log('camera', rr.ViewCoordinates.RDF, static=True)
        rr.log('camera', rr.AnnotationContext([(0, '', (0, 0, 0, 0)), *colours]), static=True)

    def connected(self) -> bool:
        """The segmenter and this node listen to the camera."""
        heard, shown = self.count_subscribers('depth/image'), self.count_publishers('depth/image')
        return heard >= 2 and shown > 0

    def _on_camera(self, message: CameraInfo) -> None:
        matrix = np.reshape(message.k, (3, 3))
        size = (message.width, message.height)
        rr.log('camera/image', rr.Pinhole(image_from_camera=matrix, resolution=size))

    def _on_depth(self, message: Image) -> None:
        set_time(message)
        units = 1000.0 if message.encoding == '16UC1' else 1.0
        rr.log('camera/image/depth', rr.DepthImage(pixels(message), meter=units))

    def _on_labels(self, message: Image) -> None:
        set_time(message)
        rr.log('camera/image/labels', rr.SegmentationImage(pixels(message)))

    def _on_points(self, message: PointCloud2) -> None:
        set_time(message)
        points, labels = read_points(message)
        rr.log('camera/points', rr.Points3D(points, class_ids=labels, radii=0.0006))

    def _on_poses(self, message: PoseArray) -> None:
        set_time(message)
        rr.log('camera/poses', rr.Clear(recursive=True))
        for k, pose in enumerate(message.poses, 1):
            p, q = pose.position, pose.orientation
            place = rr.Transform3D(translation=[p.x, p.y, p.z], quaternion=[q.x, q.y, q.z, q.w])
            rr.log(f'camera/poses/{k}', place, rr.TransformAxes3D(AXIS_M))


def set_time(message: Image | PointCloud2 | PoseArray) -> None:
    """Show what follows at the message's stamp."""
    rr.set_time('stamp', timestamp=np.datetime64(stamp_ns(message.header), 'ns'))


def read_points(message: PointCloud2) -> tuple[np.ndarray, np.ndarray]:
    """(M, 3) metres and (M,) labels."""
    cloud = point_cloud2.read_points(message)
    points = np.stack([cloud['x'], cloud['y'], cloud['z']], axis=-1)
    return points, cloud['label'].astype(np.uint16)


def main(argv: list[str] | None = None) -> int:
    """Run the demo and show its topics in the rerun viewer."""
    parser = demo_parser('view', __doc__)
    add_arguments(parser)
    parser.add_argument('--save', type=Path, help='write a .rrd file instead of opening a window')
    parser.add_argument('--seconds', type=float, default=float('inf'))
    args = parser.parse_args(argv)
    require_seed(parser, args)
    has_display = os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
    if not (args.save or has_display):
        print('view: there is no display; write a recording with --save FILE.rrd', file=sys.stderr)
        return 1
    prepare_environment()
    rr.init('insegan_ros')
    if args.save:
        rr.save(args.save, default_blueprint=LAYOUT)
    else:  # the viewer's program lies beside this Python's, which need not be on the PATH
        program = str(Path(sys.executable).with_name('rerun'))
        rr.spawn(executable_path=program, default_blueprint=LAYOUT)
    rclpy.init()
    viewer = Viewer()
    try:
        with DemoProcesses(args, viewer) as pair:
            pair.start(viewer.connected)
            end = time.monotonic() + args.seconds
            while time.monotonic() < end:
                pair.spin(0.2)
    except DemoError as error:
        print(f'view: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        viewer.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""From the package's types to ROS messages: pure functions, no node.

What messages say is read by `data.depth_messages` and `data.camera_model`, which know no ROS.
"""

from __future__ import annotations

import sys
from array import array

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseArray, Quaternion
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from insegan_ros.camera import points_from_depth
from insegan_ros.drawing import found_picture
from insegan_ros.types import DepthFrame, InstanceImages, Intrinsics, Segmentation

# sensor_msgs/image_encodings.hpp: <kind>C<number of channels>, and names for some of them
KINDS = {'uint8': '8U', 'uint16': '16U', 'float32': '32F'}
NAMED = {'mono8': '8UC1', 'mono16': '16UC1', 'rgb8': '8UC3'}
POINT_FIELDS = [
    PointField(name='x', offset=0, datatype=PointField.FLOAT32, count=1),
    PointField(name='y', offset=4, datatype=PointField.FLOAT32, count=1),
    PointField(name='z', offset=8, datatype=PointField.FLOAT32, count=1),
    PointField(name='label', offset=12, datatype=PointField.UINT32, count=1),
    PointField(name='score', offset=16, datatype=PointField.FLOAT32, count=1),
    PointField(name='class_id', offset=20, datatype=PointField.UINT32, count=1),
]
POINT_TYPE = np.dtype(
    [
        *(('x', 'f4'), ('y', 'f4'), ('z', 'f4')),
        *(('label', 'u4'), ('score', 'f4'), ('class_id', 'u4')),
    ]
)


def to_image(pixels: NDArray, encoding: str = '', header: Header | None = None) -> Image:
    """(H, W) or (H, W, C) array of exactly the encoding's type -> message.

    Encodings are written here and not by cv_bridge, which knows one to four channels: a bin shows
    more instances than that. Without an encoding it is <kind>C<C>, such as 16UC1 or 32FC7.

    Raises:
        ValueError: an array of another type or number of channels than the encoding says.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    own = f'{KINDS.get(pixels.dtype.name, pixels.dtype.name)}C{channels}'
    if pixels.dtype.name not in KINDS or NAMED.get(encoding, encoding or own) != own:
        raise ValueError(f'the encoding is {encoding or "not given"}, but the array has {own}')
    native = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder('='))
    data = array('B')  # rclpy checks anything else byte by byte
    data.frombytes(memoryview(native.data).cast('B') if native.size else b'')
    return _image_of(data, native, encoding=encoding or own, header=header)


def _image_of(data: array, pixels: NDArray, *, encoding: str, header: Header | None) -> Image:
    """The message of these bytes, which are those of `pixels`."""
    height, width = pixels.shape[:2]
    message = Image(height=height, width=width, encoding=encoding)
    if header is not None:
        message.header = header
    message.is_bigendian = int(sys.byteorder == 'big')
    message.step = pixels.nbytes // height if height else 0
    message.data = data
    return message


def to_camera_info(intrinsics: Intrinsics) -> CameraInfo:
    """An undistorted pinhole camera, without header."""
    k = intrinsics
    return CameraInfo(
        width=k.width,
        height=k.height,
        distortion_model='plumb_bob',
        d=[0.0] * 5,
        k=[k.fx, 0.0, k.cx, 0.0, k.fy, k.cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[k.fx, 0.0, k.cx, 0.0, 0.0, k.fy, k.cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def label_image(found: Segmentation, header: Header) -> Image:
    """mono16: 0 background, k = instance k."""
    return to_image(found.labels, 'mono16', header)


def classes(found: Segmentation, header: Header) -> Image:
    """mono16: 0 background, k = a part of kind k."""
    return to_image(found.classes, 'mono16', header)


def instance_masks(found: Segmentation, header: Header) -> Image:
    """8UC<n>: 255 in channel k where instance k + 1 is visible; 8UC1 of zeros for none."""
    return _channels(found.masks, np.uint8(0), 255, header=header)


def instance_depths(found: Segmentation, header: Header) -> Image:
    """32FC<n> metres: each instance rendered alone, NaN elsewhere; 32FC1 of NaN for none."""
    return _channels(found.depths, np.float32(np.nan), 1, header=header)


def _channels(images: InstanceImages, empty: np.generic, scale: int, *, header: Header) -> Image:
    """A message of N channels; of one, empty, where N is 0."""
    channels = max(len(images), 1)
    # written where the message holds it: a stack of a hundred images is too large for a copy
    height, width = images.size
    data = array('B', np.full(width * channels, empty).tobytes()) * height
    stack = np.frombuffer(data, empty.dtype).reshape(height, width, channels)
    for k, (rows, columns, crop) in enumerate(images.crops):
        stack[rows, columns, k] = crop * empty.dtype.type(scale)
    encoding = f'{KINDS[empty.dtype.name]}C{channels}'
    return _image_of(data, stack, encoding=encoding, header=header)


def rendered_depth(found: Segmentation, header: Header) -> Image:
    """32FC1 metres: all instances, nearest first, NaN elsewhere."""
    return to_image(found.rendered_depth, '32FC1', header)


def overlay_image(frame: DepthFrame, found: Segmentation, header: Header) -> Image:
    """rgb8: the frame in grey, its instances in colour, and why it is not to be trusted."""
    return to_image(found_picture(frame, found)[..., ::-1], 'rgb8', header)


def points(frame: DepthFrame, found: Segmentation, header: Header) -> PointCloud2:
    """x y z label score class_id of every measured pixel of an instance."""
    inside = (found.labels > 0) & np.isfinite(frame.depth_m)
    cloud = np.zeros(int(inside.sum()), POINT_TYPE)
    xyz = points_from_depth(frame.depth_m, frame.intrinsics)[inside]
    cloud['x'], cloud['y'], cloud['z'] = xyz.T
    cloud['label'] = found.labels[inside]
    cloud['score'] = found.scores[cloud['label'] - 1] if found.count else 0
    cloud['class_id'] = found.classes[inside]
    return point_cloud2.create_cloud(header, POINT_FIELDS, cloud)


def poses(found: Segmentation, header: Header) -> PoseArray:
    """camera_T_instance, in the order of the labels."""
    return PoseArray(header=header, poses=[pose_message(pose) for pose in found.poses])


def pose_message(pose: NDArray[np.floating]) -> Pose:
    """A (4, 4) homogeneous matrix as a message."""
    x, y, z = np.asarray(pose)[:3, 3].tolist()
    qx, qy, qz, qw = Rotation.from_matrix(np.asarray(pose)[:3, :3]).as_quat().tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))

"""Stand-in for sensor_msgs_py.point_cloud2: create_cloud and read_points."""

import sys
from array import array

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

_DATATYPES = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def dtype_from_fields(fields, point_step=None):
    """The structured type of a cloud with these fields."""
    description = {
        'names': [f.name for f in fields],
        'formats': [_DATATYPES[f.datatype] for f in fields],
        'offsets': [f.offset for f in fields],
    }
    if point_step is not None:
        description['itemsize'] = point_step
    return np.dtype(description)


def create_cloud(header, fields, points, point_step=None):
    """A PointCloud2 of one row from a structured array whose type is that of `fields`."""
    points = np.asarray(points)
    expected = dtype_from_fields(fields, point_step)
    if points.dtype != expected:
        raise AssertionError('PointFields and structured NumPy array dtype do not match')
    if not points.flags.c_contiguous:
        raise TypeError('memoryview: casts are restricted to C-contiguous views')
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        is_dense=False,
        is_bigendian=sys.byteorder != 'little',
        fields=fields,
        point_step=expected.itemsize,
        row_step=expected.itemsize * len(points),
        data=array('B', points.tobytes()),
    )


def read_points(cloud, field_names=None, skip_nans=False, uvs=None, reshape_organized_cloud=False):
    """The points of a cloud as a structured array, with `field_names` alone if given."""
    if skip_nans or uvs is not None or reshape_organized_cloud:
        raise NotImplementedError('only plain reading is done here')
    points = np.ndarray(
        cloud.width * cloud.height,
        dtype_from_fields(cloud.fields, cloud.point_step),
        buffer=cloud.data,
    )
    return points[list(field_names)] if field_names is not None else points

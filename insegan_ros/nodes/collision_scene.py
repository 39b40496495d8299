"""The parts in the bin as obstacles for MoveIt 2, which forget themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose
from numpy.typing import NDArray
from shape_msgs.msg import Mesh, MeshTriangle, SolidPrimitive
from std_msgs.msg import Header

from insegan_ros.nodes.messages import pose_message
from insegan_ros.picks.boxes import OrientedBox
from insegan_ros.picks.scene import posed
from insegan_ros.types import DepthFrame, Segmentation

CELLS = 16  # along a mesh's longest side: finer detail is no obstacle, and would fill the network
PREFIX = 'part_'  # of the objects' ids


class CollisionScene:
    """moveit_msgs/PlanningScene, a difference each: parts that are seen, and those that are gone.

    A part whose pose is its template's is the template's mesh, any other one a box.
    """

    def __init__(self, seconds: float, meshes: Sequence[tuple[NDArray, NDArray]]) -> None:
        """Obstacles that are taken away again.

        Args:
            seconds: without a frame, after which all of them are.
            meshes: for each kind of part the template's vertices (V, 3) and faces (F, 3).
        """
        self._seconds = seconds
        self._meshes = [_mesh(*coarser(*mesh)) for mesh in meshes]
        self._known = 0  # objects that MoveIt holds
        self._frame_id, self._seen_at = '', 0.0

    def seen(
        self,
        frame: DepthFrame,
        found: Segmentation,
        header: Header,
        *,
        boxes: Sequence[OrientedBox],
        now: float,
    ) -> Any:
        """The parts of a frame; `now` in seconds of a steady clock."""
        from moveit_msgs.msg import CollisionObject

        objects = []
        for k, box in enumerate(boxes):
            one = _object(header, k, CollisionObject.ADD)
            kind = int(found.class_ids[k]) - 1
            if kind < len(self._meshes) and posed(frame, found, k):
                one.pose = pose_message(found.poses[k])
                one.meshes, one.mesh_poses = [self._meshes[kind]], [_identity()]
            else:
                x, y, z = box.size_m.tolist()
                one.pose = pose_message(box.pose)
                one.primitives = [SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[x, y, z])]
                one.primitive_poses = [_identity()]
            objects.append(one)
        gone = range(len(boxes), self._known)
        objects += [_object(header, k, CollisionObject.REMOVE) for k in gone]
        self._known, self._frame_id, self._seen_at = len(boxes), header.frame_id, now
        return _difference(objects)

    def expired(self, now: float) -> Any | None:
        """What takes all parts away, if there are some and no frame came for too long."""
        if not self._known or now - self._seen_at < self._seconds:
            return None
        return self.cleared()

    def cleared(self) -> Any | None:
        """What takes all parts away; None where there are none."""
        from moveit_msgs.msg import CollisionObject

        if not self._known:
            return None
        header = Header(frame_id=self._frame_id)
        gone = [_object(header, k, CollisionObject.REMOVE) for k in range(self._known)]
        self._known = 0
        return _difference(gone)


def coarser(vertices: NDArray, faces: NDArray) -> tuple[NDArray, NDArray]:
    """The mesh with one vertex a cell of a grid (Rossignac and Borrel 1993)."""
    low = vertices.min(axis=0)
    cell = max(float((vertices.max(axis=0) - low).max()) / CELLS, 1e-6)
    _, index = np.unique(np.floor((vertices - low) / cell), axis=0, return_inverse=True)
    index = np.ravel(index)
    count = np.bincount(index)
    middle = np.stack([np.bincount(index, vertices[:, c]) / count for c in range(3)], axis=1)
    kept = index[faces]
    whole = (kept != np.roll(kept, 1, axis=1)).all(axis=1)
    return middle, np.unique(kept[whole], axis=0)


def _mesh(vertices: NDArray, faces: NDArray) -> Mesh:
    points = [Point(x=x, y=y, z=z) for x, y, z in vertices.tolist()]
    triangles = [MeshTriangle(vertex_indices=np.asarray(face, np.uint32)) for face in faces]
    return Mesh(vertices=points, triangles=triangles)


def _object(header: Header, k: int, operation: bytes) -> Any:
    from moveit_msgs.msg import CollisionObject

    return CollisionObject(header=header, id=f'{PREFIX}{k + 1}', operation=operation)


def _difference(objects: list[Any]) -> Any:
    from moveit_msgs.msg import PlanningScene

    scene = PlanningScene(is_diff=True)
    scene.robot_state.is_diff = True
    scene.world.collision_objects = objects
    return scene


def _identity() -> Pose:
    return pose_message(np.eye(4))

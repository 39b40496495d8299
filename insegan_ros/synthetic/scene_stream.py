"""Scenes of one simulated bin under a fixed camera, computed ahead in a process of their own.

Physics and ray casting take a good part of a second a scene, so whoever shows frames at camera
rate asks for the next scene early and picks it up when it is due.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import queue
import signal
import threading
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.store import to_units
from insegan_ros.depth_camera import D435, D435_DEPTH_SCALE, D435_NOISE, StereoNoise
from insegan_ros.synthetic.bin_world import BinSpec, BinWorld, SceneRejectedError, fill_validly
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.generate import MAX_ATTEMPTS, kinds_named, make_bin
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import Intrinsics

TIGHT_FOR = 5  # parts, of the bins that `make_bin` chooses


@dataclass(frozen=True)
class BinConfig:
    """The bin, what is in it and the camera over it."""

    part: str = 'nut'
    instances: int = 5
    seed: int = 0
    noise: StereoNoise | None = D435_NOISE  # None: exact to the millimetre
    tilt_degrees: float = 0.0  # of the camera from the vertical
    camera_height: float = 0.45  # metres above the bin's floor
    bin_width: float = 0.0  # metres between the walls; 0: as tight as for five of the part
    intrinsics: Intrinsics = D435
    exposures: int = 8  # noisy images of one scene

    def __post_init__(self) -> None:
        kinds_named(self.part)  # says what is wrong with it
        if not 0 <= self.instances <= 100:
            raise ValueError(f'instances {self.instances}: 0 to 100 are valid')
        if not 0 <= self.tilt_degrees <= 45:
            raise ValueError(f'tilt {self.tilt_degrees} degrees: 0 to 45 are valid')
        if not 0.2 <= self.camera_height <= 2.0:
            raise ValueError(f'camera height {self.camera_height} m: 0.2 to 2 are valid')
        if self.bin_width != 0 and not 0.05 <= self.bin_width <= 1.0:
            raise ValueError(f'bin width {self.bin_width} m: 0.05 to 1 are valid, 0 chooses')
        if self.exposures < 1:
            raise ValueError(f'exposures {self.exposures}: at least 1 is needed')

    def make(self) -> tuple[list[Part], BinSpec]:
        """The parts of these scenes and their bin: more than five have as much floor each."""
        parts, spec = make_bin(self.part, self.bin_width or None)
        more = 1.0 if self.bin_width else max(self.instances / TIGHT_FOR, 1.0)
        return parts, replace(spec, width=spec.width * math.sqrt(more))


@dataclass(frozen=True)
class BinScene:
    """A settled scene, photographed several times."""

    depth: NDArray[np.uint16]  # (E, H, W) millimetres, 0 unmeasured; E exposures
    labels: NDArray[np.uint8]  # (H, W) true ids of the visible surfaces, 0 background
    poses: NDArray[np.float32]  # (N, 4, 4) camera_T_part; label k is poses[k - 1]


class SimulatedBin:
    """The physical bin: drop parts, photograph them."""

    def __init__(self, config: BinConfig) -> None:
        parts, spec = config.make()
        self.config = config
        self.world = BinWorld(parts, spec, capacity=max(config.instances, 1))
        pose = looking_down(config.camera_height, config.tilt_degrees)
        self.camera = Camera(config.intrinsics, pose)
        self._raycaster = Raycaster([part.mesh for part in parts], spec)

    def drop(self, number: int) -> None:
        """Fill the bin anew; the same number drops the same scene.

        Raises:
            ValueError: the parts do not fit into the bin.
        """
        config = self.config
        try:
            fill_validly(
                lambda rng: self.world.fill(config.instances, rng),
                (config.seed, number),
                MAX_ATTEMPTS,
            )
        except SceneRejectedError as error:
            raise ValueError(
                f'{config.instances} of {config.part} do not fit a bin '
                f'{self.world.bin_spec.width:.2f} m wide ({error}); widen it or use fewer'
            ) from None

    def photograph(self, rng: np.random.Generator, exposures: int | None = None) -> BinScene:
        """The scene as it lies, each exposure with its own noise; None: as many as configured."""
        poses = self.world.poses()
        true_depth, labels = self._raycaster.render(
            poses, self.camera, self.world.displacement, kinds=self.world.kinds
        )
        images = [true_depth]
        noise = self.config.noise
        if noise is not None:
            intrinsics = self.camera.intrinsics
            count = exposures or self.config.exposures
            images = [add_noise(true_depth, intrinsics, rng, noise=noise) for _ in range(count)]
        return BinScene(
            depth=np.stack([to_units(depth, D435_DEPTH_SCALE) for depth in images]),
            labels=labels,
            poses=self.camera.seen(poses),
        )


class SceneStream:
    """Scenes 0, 1, 2, ... of a bin; the next one is always under way in another process."""

    def __init__(self, config: BinConfig) -> None:
        context = multiprocessing.get_context('spawn')
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(config, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._next: queue.Queue[BinScene | Exception] = queue.Queue()
        threading.Thread(target=self._receive, daemon=True).start()
        self._number = 0
        self._connection.send(0)

    def ready(self) -> bool:
        """Whether `take` would return at once."""
        return not self._next.empty()

    def take(self) -> BinScene:
        """The next scene, as soon as it is there; the one after it is started.

        Raises:
            RuntimeError: the process failed (with its reason) or died.
        """
        scene = self._next.get()
        if isinstance(scene, Exception):
            self._next.put(scene)  # there will be no other
            raise RuntimeError(f'the simulation ended: {scene}')
        self._number += 1
        with contextlib.suppress(OSError):  # it died: the next `take` says so
            self._connection.send(self._number)
        return scene

    def close(self) -> None:
        """End the process; it is not waited for in the middle of a scene."""
        self._process.terminate()
        self._process.join(timeout=5)
        self._connection.close()

    def _receive(self) -> None:
        """A scene is megabytes in a pipe: take them in while others work."""
        while True:
            try:
                self._next.put(self._connection.recv())
            except (EOFError, OSError):
                self._next.put(RuntimeError('its process died'))
                return


def _serve(config: BinConfig, connection: Connection) -> None:
    """Answer scene numbers with scenes until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group
    os.nice(10)  # frames on time come first
    try:
        simulated = SimulatedBin(config)
        while True:
            number = connection.recv()
            simulated.drop(number)
            rng = np.random.default_rng([config.seed, number, MAX_ATTEMPTS])
            connection.send(simulated.photograph(rng))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        connection.send(error)

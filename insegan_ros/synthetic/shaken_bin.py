"""A bin held by an arm: what the camera sees while the arm shakes it and after."""

from __future__ import annotations

import numpy as np

from insegan_ros.synthetic.arm import SimulatedArm
from insegan_ros.synthetic.bin_world import SceneRejectedError
from insegan_ros.synthetic.scene_stream import BinConfig, BinScene, SimulatedBin

LONGEST_STEP_S = 0.2  # of physics between two looks: a process that was held up catches up slowly


class ShakenBin:
    """Physics in step with a clock, the bin where the arm holds it; its tilt is felt, not seen."""

    def __init__(self, config: BinConfig, arm: SimulatedArm) -> None:
        self.arm = arm
        self._bin = SimulatedBin(config)
        self._still_speed = self._bin.world.physics.still_speed
        self._rng = np.random.default_rng([config.seed, 1])
        self._drops = 0
        self._last: float | None = None
        self._settled: BinScene | None = None
        self._bin.drop(self._drops)

    def look(self, now: float) -> BinScene:
        """The scene at time `now` (s); one exposure while anything moves, else all of them."""
        world = self._bin.world
        step = 0.0 if self._last is None else min(now - self._last, LONGEST_STEP_S)
        self._last = now
        if self.arm.moving(now) or self._settled is None:
            if step > 0:
                world.advance(step, self.arm.felt_acceleration(now - step / 2))
            world.displacement = self.arm.bin_displacement(now)
            self._settled = None
            if self.arm.moving(now) or world.speed() > self._still_speed:
                return self._bin.photograph(self._rng, exposures=1)
            self._put_back()
            self._settled = self._bin.photograph(self._rng)
        return self._settled

    def _put_back(self) -> None:
        """Parts that were shaken out of the bin are dropped into it again, with all the others."""
        try:
            self._bin.world.check()
        except SceneRejectedError:
            self._drops += 1
            self._bin.drop(self._drops)

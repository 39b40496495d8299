"""Emptying simulated bins: what a segmenter and a gripper get out of them, try by try.

Nothing here knows the truth but the score: the segmenter sees what the camera measured, the bin is
found once in an image of the empty one, and a try is judged by which parts came up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from insegan_ros.answer_time import AnswerTime
from insegan_ros.bin_finding import find_bin
from insegan_ros.depth_camera import D435, D435_NOISE, StereoNoise
from insegan_ros.parts_bin import Bin
from insegan_ros.picks.gripper import Gripper, ParallelJaw, SuctionCup
from insegan_ros.picks.pick import Pick
from insegan_ros.picks.planner import plan_picks, require_fits
from insegan_ros.synthetic.bin_world import BinSpec, Physics, SceneRejectedError, fill_validly
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.pick_cell import Outcome, PickCell
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import DepthFrame, Segmenter

# a frame's, as the node gives: for poses of models that know the shape, and in all
POSE_SECONDS, ANSWER_SECONDS = 0.2, 0.3
DROPS = 50  # that may be rejected before a bin counts as impossible

# A segmenter for a bin and the number of parts left in it, which most of them ignore.
MakeSegmenter = Callable[[Bin, int], Segmenter]


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What was made of one frame."""

    labels: NDArray[np.uint16]  # (H, W), 0 background, k = instance k
    picks: tuple[Pick, ...]  # in the order in which they may be tried
    seconds: float  # from the frame to the picks


class Look(Protocol):
    """Sees a frame and says what may be picked."""

    def __call__(
        self, frame: DepthFrame, parts_bin: Bin, left: int, *, failed: NDArray[np.floating]
    ) -> Sight:
        """What is made of a frame of a bin in which so many parts are left.

        `failed`: (F, 3) places, camera frame, where picks have failed in this bin.
        """


@dataclass(frozen=True, kw_only=True)
class CellConfig:
    """One simulated cell."""

    part: Part
    count: int = 20
    bin_height: float = 1.6  # part lengths; the bin is as wide as its parts need
    filled: float = 0.25  # of the bin's room, by the parts' convex hulls
    camera_height_m: float = 0.55
    noise: StereoNoise = D435_NOISE
    density: float = 1000.0  # kg/m^3 of the parts: plastic
    misses: int = 3  # in a row end a bin

    @property
    def bin_spec(self) -> BinSpec:
        """The bin that this part is picked from."""
        height = self.bin_height * self.part.length
        room = self.count * float(self.part.mesh.convex_hull.volume) / self.filled
        width = max(float(np.sqrt(room / height)), 2.2 * self.part.length)
        return BinSpec(width=width, wall_height=height)


@dataclass(frozen=True, kw_only=True)
class Try:
    """One pick that was tried."""

    outcome: Outcome
    chance: float
    cues: NDArray[np.float64]  # (8,)
    seconds: float  # from the frame to the picks
    tool: int = 0  # which of the cell's grippers


@dataclass
class BinRun:
    """One bin, from full to where it ended."""

    parts: int
    tries: list[Try] = field(default_factory=list)
    left: int = 0
    blind: int = 0  # frames in which no pick was found


@dataclass(frozen=True)
class View:
    """What the camera saw before a try, for pictures."""

    frame: DepthFrame
    sight: Sight
    chosen: Pick | None
    outcome: Outcome | None
    left: int  # parts in the bin, before the try


def looker(
    make_segmenter: MakeSegmenter,
    gripper: Gripper | Sequence[Gripper],
    *,
    answer_seconds: float = ANSWER_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Look:
    """Segment and plan in this process, timed by a clock."""
    answer = AnswerTime(answer_seconds, clock)

    def look(
        frame: DepthFrame, parts_bin: Bin, left: int, *, failed: NDArray[np.floating]
    ) -> Sight:
        segmenter = make_segmenter(parts_bin, left)
        began = clock()
        found = segmenter.segment(frame, pose_seconds=POSE_SECONDS, answer_seconds=answer.left)
        answer.segmented()
        plan = plan_picks(frame, found, parts_bin, gripper=gripper, failed=failed)
        answer.answered()
        seconds = clock() - began
        return Sight(labels=found.labels, picks=plan.ready or plan.picks, seconds=seconds)

    return look


class SimulatedCell:
    """The cell, its camera, and the bin as it was found when it was empty."""

    def __init__(self, config: CellConfig, gripper: Gripper | Sequence[Gripper]) -> None:
        """Several grippers are changed as the picks ask for.

        Raises:
            ValueError: a gripper is wider than the bin.
        """
        self.config = config
        several = (gripper,) if isinstance(gripper, SuctionCup | ParallelJaw) else tuple(gripper)
        spec = config.bin_spec
        self._worlds = [
            PickCell(
                config.part,
                spec,
                capacity=config.count,
                tool=one,
                physics=Physics(density=config.density),
            )
            for one in several
        ]
        self._world = self._worlds[0]  # where the parts are at present
        self._camera = Camera(D435, looking_down(config.camera_height_m))
        self._raycaster = Raycaster(config.part.mesh, spec)
        rng = np.random.default_rng(0)
        self.parts_bin = find_bin(self._photograph(rng)[0], rng)
        for one in several:
            require_fits(one, self.parts_bin)

    def photographed(self, seed: int) -> tuple[DepthFrame, NDArray[np.int64]]:
        """A frame of a full bin, and (H, W) which part each pixel truly shows, -1 for none."""
        frame, ids = self._photograph(self._fill(seed))
        return frame, ids

    def run(
        self,
        look: Look,
        seed: int,
        *,
        watch: Callable[[View], None] | None = None,
    ) -> BinRun:
        """Fill the bin and empty it, until it is empty or too many tries failed in a row."""
        rng = self._fill(seed)
        run = BinRun(parts=self.config.count)
        failed: list[NDArray[np.float64]] = []  # places in the world
        misses = 0
        while len(self._world.present) and misses < self.config.misses:
            frame, true_ids = self._photograph(rng)
            left = len(self._world.present)
            sight = look(frame, self.parts_bin, left, failed=self._in_camera(failed))
            pick = next(iter(sight.picks), None)
            outcome = None
            if pick is None:  # the next frame has other noise, and may show one
                misses += 1
                run.blind += 1
            else:
                outcome = self._try(pick, sight.labels, true_ids)
                run.tries.append(
                    Try(
                        outcome=outcome,
                        chance=pick.chance,
                        cues=pick.cues.vector(),
                        seconds=sight.seconds,
                        tool=pick.tool,
                    )
                )
                if outcome is Outcome.LIFTED:
                    misses = 0
                else:
                    misses += 1
                    failed.append(self._in_world(pick)[:3, 3])
            if watch:
                watch(View(frame, sight, pick, outcome, left))
        run.left = len(self._world.present)
        return run

    def _fill(self, seed: int) -> np.random.Generator:
        config = self.config
        try:
            return fill_validly(lambda r: self._world.fill(config.count, r), [seed], DROPS)[0]
        except SceneRejectedError as error:
            raise ValueError(
                f'{config.count} of {config.part.name} do not fit a bin '
                f'{config.bin_spec.width:.2f} m wide ({error}); use fewer parts or a wider bin'
            ) from None

    def _photograph(self, rng: np.random.Generator) -> tuple[DepthFrame, NDArray[np.int64]]:
        """A D435's frame, and (H, W) which part each pixel truly shows, -1 for none."""
        poses, present = self._world.poses(), self._world.present
        depth, ids = self._raycaster.render(poses, self._camera)
        measured = add_noise(depth, self._camera.intrinsics, rng, noise=self.config.noise)
        return DepthFrame(measured, self._camera.intrinsics), np.concatenate([[-1], present])[ids]

    def _in_camera(self, places: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        """(F, 3) of places in the world."""
        camera_T_world = np.linalg.inv(self._camera.world_T_camera)
        return np.reshape(places, (-1, 3)) @ camera_T_world[:3, :3].T + camera_T_world[:3, 3]

    def _in_world(self, pick: Pick) -> NDArray[np.float64]:
        return np.asarray(self._camera.world_T_camera @ pick.pose)

    def _try(self, pick: Pick, labels: NDArray, true_ids: NDArray) -> Outcome:
        shown = true_ids[labels == pick.label]
        shown = shown[shown >= 0]
        meant = int(np.bincount(shown).argmax()) if len(shown) else None
        if self._world is not (cell := self._worlds[pick.tool]):
            cell.take_over(self._world)
            self._world = cell
        return self._world.pick(self._in_world(pick), meant=meant, width_m=pick.width_m)


def outcomes(runs: list[BinRun]) -> dict[str, int]:
    """How often each outcome came up, in the order of `Outcome`."""
    tries: Iterator[Try] = (one for run in runs for one in run.tries)
    counts = {outcome.value: 0 for outcome in Outcome}
    for one in tries:
        counts[one.outcome.value] += 1
    return counts

"""Stage: the learned model beside the one that training began with, on the frames themselves.

<out>/learned/   the learned model, where the other one is better: <out>/model is then that one
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from insegan_ros.bin_tracker import BinTracker
from insegan_ros.evaluation.unlabelled import judge_unlabelled
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.inference.distilled_card import with_usual_misfit
from insegan_ros.inference.poses import posed_cues
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.run_pictures import show_segmented
from insegan_ros.learn.stage_discovery import UNEXPLAINED
from insegan_ros.learn.stages import Figures, Stage
from insegan_ros.learn.start import Start
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, InstanceImages

COMPARISON = 'comparison'
POSED = 4  # of the frames: poses take time
MARGIN = 0.05  # by which the other model has to be better
FITS = 0.62  # poses of a template cost up to this where it is the part's
LEARNED, BEGUN_WITH = 'learned', 'begun with'


def comparison_stages(job: Job, start: Start | None) -> list[Stage]:
    """The stage; none where there are no frames, or nothing to compare with."""
    if job.frames is None or start is None or not job.config.compared:
        return []
    return [
        Stage(
            name=COMPARISON,
            share=0.0,
            done=lambda _: is_compared(job),
            run=lambda _: keep_the_better(job, start),
        )
    ]


def is_compared(job: Job) -> bool:
    """Whether the model in the folder is the better one, of the network as it is now."""
    if not (job.model / model_card.CARD).exists():
        return False
    compared = model_card.read_card(job.model).get(COMPARISON)
    return compared is not None and compared['steps'] == job.report.of('network').get('steps')


def keep_the_better(job: Job, start: Start) -> Figures:
    """Keep the better of the two as the run's model; both figures go onto its card.

    The learned one is kept unless the other is clearly better: it may know the part's poses.
    Where its template does not explain what it finds, it has learned something else, and has to
    be the better one.
    """
    frames = seen_frames(job)
    learned = _judge_learned(job, frames) if 'network' in job.report else {}
    length_m = job.config.part_length_m or _length(job, start, frames)
    told = None if length_m is None else start.told(length_m, job.device)
    other = {} if told is None else _judge(told, frames, job.seed)
    stays = job.config.mesh is not None or _is_good_enough(learned, other)  # of a mesh: poses
    kept = BEGUN_WITH if other and not stays else LEARNED
    figures = {
        'steps': job.report.of('network').get('steps'),
        'kept': kept,
        'frames': len(frames),
        'part_length_m': None if length_m is None else round(length_m, 5),
        LEARNED: learned,
        BEGUN_WITH: other,
    }
    if learned and kept == BEGUN_WITH:
        assert length_m is not None
        aside = job.out / LEARNED
        shutil.rmtree(aside, ignore_errors=True)
        job.model.rename(aside)
        start.keep_as(job.model, length_m, job.dataset)
    model_card.add_to_card(job.model, {COMPARISON: figures})
    if learned and kept == BEGUN_WITH:
        show_segmented(job.dataset, job.indices, job.out, seed=job.seed)
    return figures


def _is_good_enough(learned: Figures, other: Figures) -> bool:
    """Whether the learned model is kept beside the other one."""
    if not learned or not other:
        return not other
    misfit = learned.get('template_misfit')
    handicap = MARGIN if misfit is None or misfit <= FITS else 0.0
    return bool(learned['worth'] + handicap >= other['worth'])


def _length(job: Job, start: Start, frames: Sequence[tuple[DepthFrame, Bin]]) -> float | None:
    """Metres of the part's longest side: as said before, or as these frames show."""
    before = job.report.of('discovery') if UNEXPLAINED in job.report.of('discovery') else {}
    known = before.get('part_length_m')
    return known or start.part_length([frame for frame, _ in frames], job.device)


def _judge_learned(job: Job, frames: Sequence[tuple[DepthFrame, Bin]]) -> dict[str, float]:
    segmenter = model_card.load_segmenter(str(job.model), job.device)
    assert isinstance(segmenter, DistilledSegmenter)
    if (cost := usual_misfit(segmenter, [frame for frame, _ in frames[:POSED]])) is not None:
        settings = with_usual_misfit(model_card.read_card(job.model), cost)
        model_card.add_to_card(job.model, {'settings': settings})
    misfit = template_misfit(segmenter, frames[:POSED])
    judged = _judge(segmenter, frames, job.seed)
    return judged if misfit is None else judged | {'template_misfit': round(misfit, 3)}


def seen_frames(job: Job) -> list[tuple[DepthFrame, Bin]]:
    """Some frames from all over the dataset, and the bin in each.

    Raises:
        FloorNotFoundError: none of them shows one.
    """
    some = np.linspace(0, len(job.indices) - 1, min(job.config.compared, len(job.indices))).astype(
        int
    )
    tracker, seen = BinTracker(None, job.seed, config=job.config.finding), []
    unseen: FloorNotFoundError | None = None
    for k in some:
        frame = job.dataset[job.indices[k]].frame
        try:
            seen.append((frame, tracker(frame)))
        except FloorNotFoundError as error:
            unseen = error
    if unseen is not None and not seen:
        raise unseen
    return seen


def template_misfit(
    segmenter: DistilledSegmenter, frames: Sequence[tuple[DepthFrame, Bin]]
) -> float | None:
    """What the poses of its own template cost, 0 to 1.5, on average by area; None: no template."""
    costs, areas = [], []
    for frame, parts_bin in frames:
        found = segmenter.find(frame, parts_bin)
        order = np.arange(len(found.centres))
        images = (found.labels == k + 1 for k in order)
        masks = InstanceImages.of(images, found.labels.shape, np.False_)
        fits = segmenter.fit_poses(frame, masks, found, order=order)
        costs += posed_cues(found.cues, fits)[:, -2].tolist()
        areas += [int(mask.sum()) for mask in masks]
    return float(np.average(costs, weights=areas)) if segmenter.poses and costs else None


def usual_misfit(segmenter: DistilledSegmenter, frames: Sequence[DepthFrame]) -> float | None:
    """What poses of its template cost on frames of its own part; None: it has no template."""
    for frame in frames if segmenter.poses else ():
        with suppress(FloorNotFoundError):
            segmenter.segment(frame)
    return segmenter.template_fit.cost if segmenter.poses else None


def _judge(
    segmenter: DistilledSegmenter, frames: Sequence[tuple[DepthFrame, Bin]], seed: int
) -> dict[str, float]:
    def find(frame: DepthFrame, parts_bin: Bin) -> NDArray[np.integer]:
        return segmenter.find(frame, parts_bin).labels

    judged = judge_unlabelled(find, frames, np.random.default_rng([seed, 5]))
    return {
        'worth': round(judged.worth, 3),
        'explained': round(judged.explained, 3),
        'agreement': round(judged.agreement, 3),
        'instances': round(judged.instances, 1),
    }


def ending(job: Job) -> str:
    """What the user has in the end, by which signs, and what to do next; empty: not compared."""
    if not is_compared(job):
        return ''
    compared = model_card.read_card(job.model)[COMPARISON]
    learned, other = compared[LEARNED], compared[BEGUN_WITH]
    said = [f'without labels, on {compared["frames"]} frames:']
    if learned:
        said.append(f'  the learned model {_in_words(learned)}')
    if other:
        length_mm = 1e3 * compared['part_length_m']
        said.append(f'  the model begun with, for parts of {length_mm:.0f} mm, {_in_words(other)}')
    if compared['kept'] == LEARNED:
        better = bool(other) and not _is_good_enough(learned, other)
        said.append('the learned one is kept' + ' for its poses, but is no better' * better)
        return '\n'.join(said)
    if learned:
        said.append(f'the latter is better and is kept; the learned one is in {job.out / LEARNED}')
    said.append(
        'it gives masks, but no poses. For a model of this part take more frames, in which parts '
        'lie in other poses and some lie alone, and train in another folder; if the length is '
        'wrong, give it: --part-length'
    )
    return '\n'.join(said)


def _in_words(judged: Figures) -> str:
    return (
        f'finds {judged["instances"]:.1f} instances a frame, which are '
        f'{judged["explained"]:.0%} of what stands in the bin, and agrees to '
        f'{judged["agreement"]:.0%} with itself on mirrored and noisier frames'
    )

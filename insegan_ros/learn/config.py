"""Every default of `insegan train`: one configuration, of which each method has its sections."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import yaml

from insegan_ros import config
from insegan_ros.config import ConfigError
from insegan_ros.crop import CropConfig
from insegan_ros.data.cad import Units
from insegan_ros.data.frames import AugmentConfig
from insegan_ros.discovery.state import DiscoveryConfig
from insegan_ros.distillation.alike import AlikeConfig
from insegan_ros.distillation.piles import PileConfig
from insegan_ros.distillation.pretrain import ShapesConfig
from insegan_ros.distillation.random_views import ViewConfig
from insegan_ros.distillation.train import TrainConfig
from insegan_ros.inference.insegan import FilterConfig, InSeGANCard
from insegan_ros.learn.reading import ReadingConfig
from insegan_ros.model.insegan import InSeGANConfig
from insegan_ros.parts_bin import FindingConfig
from insegan_ros.synthetic.camera_presets import find_camera
from insegan_ros.synthetic.depth_noise import AnyCamera, DepthNoise
from insegan_ros.training.loop import LoopConfig
from insegan_ros.training.step_config import StepConfig

Method = Literal['distilled', 'insegan3d', 'insegan2d', 'slot_attention', 'bo_qsa', 'iodine', 'wu']
INSEGAN: tuple[Method, ...] = ('insegan3d', 'insegan2d')
BASELINES: tuple[Method, ...] = ('slot_attention', 'bo_qsa', 'iodine', 'wu')
METHODS: tuple[Method, ...] = ('distilled', *INSEGAN, *BASELINES)
# sections that a resumed run may change: they say how long it takes, not what it learns
FREE = ('max_minutes', 'shares', 'loop', 'precision')

MESH_MINUTES = 15.0  # that learning from a CAD model takes, unless it is said
# 2 to 20 parts in a bin 1.3 to 3.2 part lengths wide; the length is known
ANY_BIN = ShapesConfig(
    shapes=3000, bins=1, parts=(2, 20), bin_width=(1.3, 3.2), view=ViewConfig(true=(0.97, 1.03))
)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What of the dataset InSeGAN or a learned baseline learns from."""

    validation: int = 100  # frames held out where the dataset has no val split
    limit: int | None = None  # at most so many training frames (paper Fig. 4a)
    allow_other_count: bool = False  # a model of another number of instances (paper Fig. 4b)
    # `gap`: parts lie well apart from the floor; `linear`: heights begin at the floor's value
    coding: Literal['gap', 'linear'] = 'gap'
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    GONE: ClassVar = {'threshold_from': 'the threshold is always chosen without labels'}

    def __post_init__(self) -> None:
        if self.validation < 1 or (self.limit is not None and self.limit < 1):
            raise ValueError(
                f'data.validation {self.validation}, data.limit {self.limit}: 1 or more frames '
                'are expected, or no limit (null)'
            )


@dataclass(frozen=True, kw_only=True)
class RescueConfig:
    """When a run of InSeGAN that fails begins anew or goes back, by itself."""

    examine_at: int = 500  # iterations; a run that draws whole scenes then begins anew; 0: never
    restarts: int = 3  # at most
    falls: int = 3  # losses that exploded, before a run gives up


@dataclass(frozen=True, kw_only=True)
class ShareConfig:
    """Shares of `max_minutes`; what is left is for the choice of how votes are read."""

    discovery: float = 0.35
    piles: float = 0.15
    network: float = 0.45

    def __post_init__(self) -> None:
        values = (self.discovery, self.piles, self.network)
        if min(values) <= 0 or sum(values) > 1:
            raise ValueError(f'shares {values}: above 0 each, and at most 1 in all, are expected')


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """A learned baseline's settings; those left out are its own (`baselines.learned.methods`)."""

    model: dict = field(default_factory=dict)  # sizes of its network
    step: dict = field(default_factory=dict)  # of training.descent.DescentConfig
    course: dict = field(default_factory=dict)  # of baselines.learned.methods.Course


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """All settings of a run; `--config` and `--set` override them."""

    method: Method = 'distilled'
    # None: 30 for distilled (15 from a mesh), no limit for others, whose length is loop.iterations
    max_minutes: float | None = None
    # The model whose weights to begin with, by name or folder, or none. distilled, None: any, if
    # it is there. insegan3d, insegan2d: one of their own, whose encoder goes on learning,
    # and after step.joint_after steps its generator, too
    start: str | None = None
    # how the bin is found in a frame, and which of its pixels show parts
    finding: FindingConfig = field(default_factory=FindingConfig)

    # distilled
    shares: ShareConfig = field(default_factory=ShareConfig)
    # of the part; its shape is then not discovered, and frames are not needed
    mesh: str | None = None
    units: Units | None = None  # of the mesh; None: metres where its format says so, else mm
    part_length_m: float | None = None  # of the longest side; None: what the frames show
    # whose noise piles are given: d435, a preset by name or file, or `any`: a camera of the whole
    # family for each picture. None: d435 where there are frames, any where a mesh alone is learned
    camera: str | None = None
    kinds: int = 1  # of parts in a bin, at most; several need a shape each
    frames: int = 2400  # looked at by discovery: full bins show some 300 whole parts in 1,000
    least_piles: int = 50  # made whatever the time
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    piles: PileConfig = field(default_factory=PileConfig)
    # piles of a mesh where no frames show bin and camera: any of them
    bins: ShapesConfig = field(default_factory=lambda: ANY_BIN)
    network: TrainConfig = field(default_factory=TrainConfig)
    reading: ReadingConfig = field(default_factory=ReadingConfig)  # how votes become instances
    alike: AlikeConfig = field(default_factory=AlikeConfig)  # where no shape explains the frames
    # frames on which the learned model is compared with the one begun with; 0: it is kept unseen
    compared: int = 12

    # insegan3d, insegan2d
    model: InSeGANConfig = field(default_factory=InSeGANConfig)
    step: StepConfig = field(default_factory=StepConfig)
    # of the finished model; the threshold is chosen
    filters: FilterConfig = field(default_factory=FilterConfig)
    # gradient steps on each frame's codes, of the finished model; docs/results.md: what they gain
    refine_steps: int = 0
    turns: int = 1  # quarter turns of a frame whose instances compete, of the finished model
    rescue: RescueConfig = field(default_factory=RescueConfig)

    # slot_attention, bo_qsa, iodine, wu
    baseline: BaselineConfig = field(default_factory=BaselineConfig)

    # all but distilled
    loop: LoopConfig = field(default_factory=LoopConfig)
    data: DataConfig = field(default_factory=DataConfig)
    precision: Literal['auto', 'float32', 'bfloat16'] = 'auto'  # auto: bfloat16 where it is fast

    def __post_init__(self) -> None:
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ValueError(f'max_minutes is {self.max_minutes}; more than 0 is expected')
        if self.part_length_m is not None and not 0.001 <= self.part_length_m <= 2:
            raise ValueError(
                f'part_length_m is {self.part_length_m}; 0.001 to 2 metres are expected'
            )
        if not 1 <= self.kinds <= 3:
            raise ValueError(f'kinds is {self.kinds}; 1 to 3 kinds of part are expected')
        if self.kinds > 1 and self.mesh is not None:
            raise ValueError('kinds are sought in frames; a mesh is of one kind: leave one out')
        _ = self.errors(0.05)  # says what is wrong with the camera
        crop = CropConfig(1.0, 1.0, self.model.image_size)  # any: the bin is not known yet
        InSeGANCard(self.model, crop, self.filters, self.refine_steps, self.turns)
        asked = self.step.joint_after not in (None, StepConfig.joint_after)
        if asked and (self.model.encoder != 'set' or self.step.generator_steps < 1):
            raise ValueError(
                f'step.joint_after is {self.step.joint_after}, which only a set encoder has that '
                f'learns after the generator; model.encoder is {self.model.encoder}, '
                f'step.generator_steps {self.step.generator_steps}: leave out one of them'
            )
        if self.frames < 1 or self.least_piles < 1:
            raise ValueError(
                f'frames {self.frames}, least_piles {self.least_piles}: 1 or more are expected'
            )
        if self.compared < 0:
            raise ValueError(f'compared is {self.compared}; 0 or more frames are expected')

    def errors(self, part_length_m: float) -> DepthNoise | AnyCamera | None:
        """Of the camera under which piles are taught; None: about those of a D435.

        Raises:
            ConfigError: there is no such camera.
        """
        if self.camera == 'any':
            return AnyCamera(part_length_m)
        if self.camera in (None, 'd435'):
            return None
        try:
            return find_camera(self.camera).noise
        except ConfigError as error:
            raise ConfigError(f'{error}; also: any, d435') from None

    @property
    def seconds(self) -> float:
        """What a run may take."""
        minutes = float('inf')
        if self.method == 'distilled':
            minutes = 30.0 if self.mesh is None else MESH_MINUTES
        return 60 * (minutes if self.max_minutes is None else self.max_minutes)


COMMON = ('method', 'max_minutes', 'finding')
OF_DISTILLED = (
    *('shares', 'part_length_m', 'camera', 'kinds', 'frames', 'least_piles'),
    *('mesh', 'units', 'discovery', 'piles', 'bins', 'network', 'reading', 'alike', 'compared'),
)


# of some methods, not of learned baselines
OF_STARTED = ('start',)
OF_INSEGAN = ('model', 'step', 'filters', 'refine_steps', 'turns', 'rescue')
OF_BASELINES = ('baseline',)


def sections(method: Method) -> list[str]:
    """The fields of LearnConfig that mean something to a method."""
    others = {*OF_DISTILLED, *OF_STARTED, *OF_INSEGAN, *OF_BASELINES}
    if method == 'distilled':
        kept = {*COMMON, *OF_STARTED, *OF_DISTILLED}
    else:
        own = (*OF_STARTED, *OF_INSEGAN) if method in INSEGAN else OF_BASELINES
        kept = {f.name for f in dataclasses.fields(LearnConfig)} - (others - set(own))
    return [f.name for f in dataclasses.fields(LearnConfig) if f.name in kept]


def dump_settings(settings: LearnConfig) -> str:
    """The sections of its method as YAML, which `resolve` takes as a file."""
    whole = config.plain(settings)
    kept = {name: whole[name] for name in sections(settings.method)}
    return yaml.safe_dump(kept, sort_keys=False)

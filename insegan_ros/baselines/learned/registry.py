"""The learned baselines behind one table of names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from insegan_ros import config
from insegan_ros.baselines.learned.bo_qsa import QuerySlotAutoencoder
from insegan_ros.baselines.learned.decomposer import Decomposer
from insegan_ros.baselines.learned.iodine import Iodine, IodineConfig
from insegan_ros.baselines.learned.slot_attention import SlotAutoencoder, SlotConfig
from insegan_ros.baselines.learned.wu import Wu, WuConfig


@dataclass(frozen=True)
class Course:
    """Training begins `starts` times, `start_steps` steps each, and goes on with the best.

    The best is the one whose loss, the mean over its last quarter, is lowest.
    """

    starts: int = 1
    start_steps: int = 1000

    def __post_init__(self) -> None:
        if self.starts < 1 or self.start_steps < 4:
            raise ValueError(
                f'course.starts {self.starts}, course.start_steps {self.start_steps}: at least 1 '
                'and 4 are expected'
            )

    @property
    def choosing(self) -> int:
        """Iterations before the best start is known."""
        return self.starts * self.start_steps if self.starts > 1 else 0


@dataclass(frozen=True)
class LearnedMethod:
    """A network, its sizes, and how it is trained unless settings say otherwise."""

    network: Callable[[Any], Decomposer]
    sizes: type
    training: Mapping[str, Any] = field(default_factory=dict)  # overrides of `DescentConfig`
    course: Mapping[str, Any] = field(default_factory=dict)  # overrides of `Course`
    geometric: bool = False  # sizes include the heights of camera and parts


METHODS = {
    'slot_attention': LearnedMethod(SlotAutoencoder, SlotConfig),
    'bo_qsa': LearnedMethod(QuerySlotAutoencoder, SlotConfig),
    'iodine': LearnedMethod(
        Iodine,
        IodineConfig,
        {'learning_rate': 3e-4, 'betas': (0.95, 0.999), 'warm_up': 0, 'gradient_norm': 5.0},
    ),
    'wu': LearnedMethod(
        Wu,
        WuConfig,
        {'learning_rate': 1e-3, 'warm_up': 200},
        {'starts': 4, 'start_steps': 1000},
        geometric=True,
    ),
}


def build(name: str, sizes: Mapping[str, Any]) -> Decomposer:
    """Raises: ValueError, for an unknown method; ConfigError, for sizes that do not fit it."""
    if name not in METHODS:
        raise ValueError(f'unknown method {name!r}; valid: {", ".join(METHODS)}')
    method = METHODS[name]
    return method.network(config.from_mapping(method.sizes, sizes))

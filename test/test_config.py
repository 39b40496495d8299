"""Dataclasses own the defaults; files and overrides change only what they name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from insegan_ros import config
from insegan_ros.config import ConfigError


@dataclass(frozen=True)
class Optimiser:
    lr: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.99)


@dataclass(frozen=True)
class Run:
    steps: int = 10
    method: Literal['a', 'b'] = 'a'
    device: str | None = None
    optimiser: Optimiser = field(default_factory=Optimiser)


def test_no_override_leaves_the_defaults() -> None:
    assert config.load(Run) == Run()


def test_later_overrides_win_and_leave_the_rest(tmp_path: Path) -> None:
    first, second = tmp_path / 'a.yaml', tmp_path / 'b.yaml'
    first.write_text('steps: 3\noptimiser: {lr: 1e-3}')
    second.write_text('optimiser: {betas: [0.9, 0.999]}')
    loaded = config.load(Run, [first, second], ['steps=7', 'device=cpu'])
    assert loaded == Run(7, 'a', 'cpu', Optimiser(1e-3, (0.9, 0.999)))


def test_dump_and_load_give_the_same_config(tmp_path: Path) -> None:
    run = Run(steps=3, optimiser=Optimiser(lr=0.5))
    (tmp_path / 'c.yaml').write_text(config.dump(run))
    assert config.load(Run, [tmp_path / 'c.yaml']) == run


@pytest.mark.parametrize(
    ('override', 'message'),
    [
        ('optimiser.beta=1', 'did you mean optimiser.betas'),
        ('step=1', "unknown key 'step'; did you mean steps"),
        ('steps=many', "steps is 'many'; int is expected"),
        ('steps=true', 'int is expected'),
        ('method=c', "valid: 'a', 'b'"),
        ('optimiser=3', 'a mapping is expected'),
        ('optimiser.lr=1' + 400 * '0', 'float is expected'),
        ('optimiser.betas=[1]', '2 are expected'),
        ('steps', 'key=value is expected'),
        ('optimiser.betas=[1', 'the value is no YAML'),
    ],
)
def test_a_wrong_override_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.load(Run, overrides=[override])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'no configuration file .*absent\.yaml'):
        config.load(Run, [tmp_path / 'absent.yaml'])


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / 'binary.yaml').write_bytes(b'steps: \xff')
    with pytest.raises(ValueError, match=r'binary\.yaml is no text'):
        config.load(Run, [tmp_path / 'binary.yaml'])


@dataclass(frozen=True)
class Mapped:
    given: dict[str, Any] = field(default_factory=dict)


def test_a_mapping_of_any_values_is_taken_and_anything_else_refused() -> None:
    assert config.from_mapping(Mapped, {'given': {'a': [1]}}).given == {'a': [1]}
    with pytest.raises(ConfigError, match=r'given is \[1\]; dict is expected'):
        config.from_mapping(Mapped, {'given': [1]})

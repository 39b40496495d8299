"""Configuration: dataclasses own the defaults, YAML and `--set` only override them."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from insegan_ros.files import read_text

T = TypeVar('T')


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key and what is valid."""


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = '') -> T:
    """Build dataclass `cls` from nested mappings.

    A class variable GONE says why there is no longer such a key.

    Raises:
        ConfigError: an unknown key (the message names near ones) or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(
            f'{where.rstrip(".") or cls.__name__} is {values!r}; a mapping is expected'
        )
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    types = typing.get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        path = f'{where}{key}'
        if key in (gone := getattr(cls, 'GONE', {})):
            raise ConfigError(f'{path} is gone: {gone[key]}; leave it out')
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f'; did you mean {where}{near[0]}?' if near else ''
            raise ConfigError(f'unknown key {path!r}{hint} (valid: {", ".join(sorted(fields))})')
        arguments[key] = _convert(types[key], value, path)
    try:
        return cls(**arguments)
    except TypeError as error:
        raise ConfigError(f'{where or cls.__name__}: {error}') from None


def _convert(expected: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(expected):
        return from_mapping(typing.cast(type, expected), value, path + '.')
    origin, args = typing.get_origin(expected), typing.get_args(expected)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f'{path} is {value!r}; a list is expected')
        kinds = [args[0]] * len(value) if args[1:] == (...,) else list(args)
        if len(kinds) != len(value):
            raise ConfigError(f'{path} has {len(value)} entries; {len(kinds)} are expected')
        pairs = zip(kinds, value, strict=True)
        return tuple(_convert(k, v, f'{path}[{i}]') for i, (k, v) in enumerate(pairs))
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(f'{path} is {value!r}; valid: {", ".join(map(repr, args))}')
        return value
    if args and type(None) in args:  # X | None
        if value is None:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, path)
    if expected is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3 as a string
        except (ValueError, OverflowError):
            pass
    kind = dict if origin is dict else expected  # of dict[str, Any]: Python 3.10 calls it a type
    if isinstance(kind, type) and (
        not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    ):
        raise ConfigError(f'{path} is {value!r}; {expected.__name__} is expected')
    return value


def load(
    cls: type[T],
    files: Iterable[Path] = (),
    overrides: Iterable[str] = (),
) -> T:
    """Defaults of `cls`, overridden by YAML files in order, then 'a.b=value' strings."""
    return from_mapping(cls, merged(files, overrides))


def merged(files: Iterable[Path] = (), overrides: Iterable[str] = ()) -> dict[str, Any]:
    """What YAML files in order, then 'a.b=value' strings, say in nested mappings.

    Raises:
        ConfigError: a file that is absent or holds no mapping, or a string that is no key=value.
        ValueError: a file that is no text.
    """
    told: dict[str, Any] = {}
    for file in files:
        try:
            loaded = yaml.safe_load(read_text(file)) or {}
        except FileNotFoundError:
            raise ConfigError(f'no configuration file {file}') from None
        except yaml.YAMLError as error:
            raise ConfigError(f'{file} is not YAML: {error}') from None
        if not isinstance(loaded, Mapping):
            raise ConfigError(f'{file} holds {type(loaded).__name__}; a mapping is expected')
        merge(told, loaded)
    for override in overrides:
        merge(told, nested(override))
    return told


def nested(override: str) -> dict[str, Any]:
    """'a.b=value' -> {'a': {'b': value}}, the value read as YAML.

    Raises:
        ConfigError: it is no key=value, or the value no YAML.
    """
    key, equals, text = override.partition('=')
    if not equals or not key:
        raise ConfigError(f'override {override!r}: key=value is expected, e.g. model.z_dim=64')
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        said = ' '.join(str(error).split())
        raise ConfigError(f'override {override!r}: the value is no YAML: {said}') from None
    for part in reversed(key.strip().split('.')):
        value = {part: value}
    return typing.cast(dict[str, Any], value)


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Nested values override those of `into`."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            merge(into[key], value)
        else:
            into[key] = value


def plain(config: Any) -> dict[str, Any]:
    """The resolved configuration in mappings, lists and numbers, for a card; `from_mapping`'s."""
    return typing.cast(dict[str, Any], _plain(dataclasses.asdict(config)))


def dump(config: Any) -> str:
    """The resolved configuration as YAML; `load` of it gives the same object back."""
    return yaml.safe_dump(plain(config), sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value

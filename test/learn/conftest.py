"""What tests of learning share."""

from __future__ import annotations

from pathlib import Path

import pytest
from brick_bin import store_frames

from insegan_ros.learn.reading import ReadingConfig


@pytest.fixture(scope='session')
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of depth images of bricks in a bin; no labels."""
    folder = tmp_path_factory.mktemp('bricks')
    store_frames(folder)
    return folder


@pytest.fixture
def two_ways_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of nine ways to read votes is chosen is a matter of test_reading.py."""
    defaults = ReadingConfig.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, 'generosity', ReadingConfig().generosity[:2])

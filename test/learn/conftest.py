"""What tests of learning share."""

from __future__ import annotations

from pathlib import Path

import pytest
from brick_bin import store_frames


@pytest.fixture(scope='session')
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of depth images of bricks in a bin; no labels."""
    folder = tmp_path_factory.mktemp('bricks')
    store_frames(folder)
    return folder

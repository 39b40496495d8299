"""A discovery of no dataset, for the steps that need none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from insegan_ros.data.store import Dataset
from insegan_ros.discovery.search import Search
from insegan_ros.discovery.state import DiscoveryConfig


def searching(config: DiscoveryConfig | None = None, part_length_m: float | None = None) -> Search:
    return Search(
        dataset=cast(Dataset, SimpleNamespace(path=Path('nowhere'))),
        indices=[],
        out=Path('nowhere'),
        config=config or DiscoveryConfig(),
        part_length_m=part_length_m,
    )

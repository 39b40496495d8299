"""Poses of a template that cost more than usual tell that the model looks at another part."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.inference.poses import PoseFit
from insegan_ros.inference.template_fit import BEST, EVERY, KEPT, USUAL, TemplateFit


def costing(*costs: float) -> list[PoseFit | None]:
    return [PoseFit(np.eye(4), cost, 1.0) for cost in costs]


def test_the_misfit_is_the_median_of_the_newest_costs_over_the_usual_one() -> None:
    fit = TemplateFit(0.4)
    assert fit.misfit is None
    fit.note([None, *costing(0.8)])
    assert fit.misfit == pytest.approx(2.0)
    fit.note(costing(0.8, 0.8, 0.2, 9.0))  # those after the best are not looked at
    assert fit.misfit == pytest.approx(2.0)
    for _ in range(KEPT):
        fit.note(costing(0.4))
    assert fit.misfit == pytest.approx(1.0)
    known = TemplateFit()
    known.note(costing(USUAL, USUAL))
    assert known.misfit == pytest.approx(1.0)


def test_it_looks_often_at_first_and_rarely_once_it_knows() -> None:
    asked: list[int] = []

    def look(best: int, _: float) -> list[PoseFit | None]:
        asked.append(best)
        return costing(*[0.4] * best)

    fit = TemplateFit(0.4)
    for _ in range(KEPT // BEST + 2 * EVERY):
        fit.look(look)
    assert asked == [BEST] * (KEPT // BEST) + [1, 1]

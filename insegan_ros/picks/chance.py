"""The chance that a pick lifts exactly one part, from its cues, and how honest it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.pick import Cues


@dataclass(frozen=True, kw_only=True)
class Chance:
    """A logistic regression on the cues: chance = 1 / (1 + exp(-(weights . cues + bias)))."""

    weights: tuple[float, ...]  # one for each of Cues.names()
    bias: float

    def __post_init__(self) -> None:
        if len(self.weights) != len(Cues.names()):
            raise ValueError(
                f'{len(self.weights)} weights: {len(Cues.names())} are expected, for '
                f'{", ".join(Cues.names())}'
            )

    def __call__(self, cues: Cues) -> float:
        """In [0, 1]."""
        logit = float(np.dot(self.weights, cues.vector()) + self.bias)
        return float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))

    def of_places(self, cues: NDArray[np.floating]) -> NDArray[np.float64]:
        """(M, 6) cues that differ between the places of one instance -> (M,) what ranks them."""
        return np.asarray(cues @ np.array(self.weights[: cues.shape[1]]))


# Until a gripper's own picks have been counted, these order the picks; they promise nothing.
UNCALIBRATED = Chance(weights=(1.0, 2.0, 1.5, 1.5, 0.5, 0.5, 0.5, 1.5), bias=-4.0)


def fit_chance(
    cues: NDArray[np.floating], lifted: NDArray[np.bool_], *, ridge: float = 1.0
) -> Chance:
    """Logistic regression by Newton's method, with a quadratic penalty on the weights.

    Args:
        cues: (M, 8), a row for each pick that was tried.
        lifted: (M,) whether exactly one part came up.
        ridge: the penalty's weight; it keeps weights finite where every pick succeeded.

    Raises:
        ValueError: fewer than ten picks.
    """
    if len(cues) < 10:
        raise ValueError(f'{len(cues)} picks: at least 10 are needed to calibrate a gripper')
    x = np.concatenate([cues, np.ones((len(cues), 1))], axis=1)
    penalty = np.diag([ridge] * cues.shape[1] + [1e-3])
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (lifted - p) - penalty @ beta
        hessian = (x * (p * (1 - p))[:, None]).T @ x + penalty
        step = np.linalg.solve(hessian, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return Chance(weights=tuple(beta[:-1].tolist()), bias=float(beta[-1]))


def expected_calibration_error(
    chances: NDArray[np.floating], lifted: NDArray[np.bool_], *, bins: int = 10
) -> float:
    """Mean over picks of |mean chance - share lifted| in bins of equal width (Guo et al. 2017)."""
    if not len(chances):
        return 0.0
    index = np.minimum((np.asarray(chances) * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    promised = np.bincount(index, np.asarray(chances, float), minlength=bins)
    kept = np.bincount(index, np.asarray(lifted, float), minlength=bins)
    return float(np.abs(promised - kept).sum() / count.sum())

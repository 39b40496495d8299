"""How well the part's template fits what is found: a model that looks at another part fits badly.

Votes do not show this: a network that knows one part is as sure of another. Poses of its
template are, however, clearly dearer there than on the frames that it was learned from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from insegan_ros.inference.poses import PoseFit

BEST = 3  # instances of a frame that are looked at, those that are most likely right
KEPT = 9  # instances, the newest, of which the median counts
EVERY = 30  # frames between looks, once KEPT are known and as long as no poses are wanted
SECONDS = 0.5  # that one look may take
# cost of a pose where the model is the part's and its card does not say it: those of the models
# that come with the package are .36 to .53, .45 on average
USUAL = 0.48

Fit = Callable[[int, float], Sequence[PoseFit | None]]  # of the best so many, in so many seconds


class TemplateFit:
    """What poses of the template cost, of the best instances of the newest frames."""

    def __init__(self, usual: float | None = None) -> None:
        """Take `usual` for the cost on the frames that the model was learned from."""
        self._usual = usual or USUAL
        self._costs: deque[float] = deque(maxlen=KEPT)
        self._left = 0  # frames until the next look

    @property
    def cost(self) -> float | None:
        """The median, 0 to 1.5; None: none is known."""
        return float(np.median(self._costs)) if self._costs else None

    @property
    def misfit(self) -> float | None:
        """The cost as a multiple of the usual one; None: none is known."""
        return None if self.cost is None else self.cost / self._usual

    def note(self, fits: Sequence[PoseFit | None]) -> None:
        """Poses of a frame's instances, the likeliest first."""
        self._costs.extend(fit.cost for fit in fits[:BEST] if fit is not None)

    def look(self, fit: Fit) -> None:
        """Fit some instances of a frame whose poses are not wanted, if it is time."""
        self._left -= 1
        if self._left > 0:
            return
        self.note(fit(BEST if len(self._costs) < KEPT else 1, SECONDS))
        self._left = EVERY if len(self._costs) == KEPT else 1

"""A lifecycle node whose parameters are a table and whose life is four methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as Changed

from insegan_ros.nodes.lifecycle import in_words, transition
from insegan_ros.nodes.parameters import Parameter, declare, values


class ManagedNode(LifecycleNode):
    """Says of itself what it builds, how it works and stops, and what it gives back.

    What these methods raise is logged with what to do, and the state stays.
    """

    def __init__(
        self, name: str, parameters: Sequence[Parameter], *, fixed: Sequence[str] = ()
    ) -> None:
        """`fixed`: the parameters that can only be changed while it is unconfigured."""
        super().__init__(name)
        declare(self, parameters)
        self._table, self._fixed = parameters, fixed
        self._given: Mapping[str, Any] = {}  # the parameters' values while it is configured
        self.add_on_set_parameters_callback(self._take)

    def build(self, given: Mapping[str, Any]) -> None:
        """What these parameters ask for; all is undone where it raises."""

    def begin(self) -> None:
        """Work."""

    def halt(self) -> None:
        """Stop working; may be called when it does not work."""

    def release(self) -> None:
        """Give back what was built; may be called when nothing was."""

    def change(self, given: Mapping[str, Any]) -> None:
        """Other parameters while it is configured; what is raised refuses them."""

    @transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and build what they ask for."""
        given = values(self, self._table)
        try:
            self.build(given)
        except Exception:
            self.release()
            raise
        self._given = given
        return super().on_configure(state)

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work."""
        done = super().on_activate(state)
        self.begin()
        return done

    @transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working; the settings stay."""
        self.halt()
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back; parameters can be changed again."""
        self.release()
        self._given = {}
        return super().on_cleanup(state)

    @transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, and give everything back."""
        self.halt()
        self.release()
        return super().on_shutdown(state)

    def _take(self, changed: list[Changed]) -> SetParametersResult:
        """Refuse what cannot be; take what can at once."""
        if not self._given:  # on_configure says what is wrong
            return SetParametersResult(successful=True)
        asked = {**self._given, **{p.name: p.value for p in changed if p.name in self._given}}
        if asked == self._given:  # another parameter: overrides of QoS are declared with topics
            return SetParametersResult(successful=True)
        for name in self._fixed:
            if asked[name] != self._given[name]:
                reason = f'{name} can only be changed while the node is unconfigured'
                return SetParametersResult(successful=False, reason=reason)
        try:
            self.change(asked)
        except Exception as error:  # a damaged model raises whatever its reader does
            return SetParametersResult(successful=False, reason=in_words(error))
        self._given = asked
        return SetParametersResult(successful=True)

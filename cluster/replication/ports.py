"""What the driver of a raft member works on: the state it applies the log to, and the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from cluster.raft.messages import Message
from cluster.raft.ready import SoftState


class StateMachine(Protocol):
    """What the log is for. Calls come from the event loop and must not block."""

    def apply(self, index: int, term: int, data: bytes) -> None:
        """Apply a committed entry, in order; `data` is empty for a new leader's no-op."""
        ...

    def capture(self) -> Callable[[], bytes]:
        """Hold on to the present state; the result encodes it, in another thread."""
        ...

    def restore(self, data: bytes) -> None:
        """Replace the state by one that `capture` encoded, here or at the leader."""
        ...

    def role_changed(self, soft: SoftState) -> None:
        """Learn this node's role; entries committed before the change were applied."""
        ...


class Peers(Protocol):
    """The way to the other members."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send without waiting; what cannot be sent may be lost.

        The state of an `InstallSnapshot` comes from `Driver.load_snapshot`, and how its transfer
        ended goes to `Driver.report_snapshot`.
        """
        ...


class NoPeers:
    """The peers of a lone voter."""

    def send(self, messages: Sequence[Message]) -> None:
        """Refuse: there is nobody."""
        assert not messages, f"a lone voter wants to send {messages[0]}"

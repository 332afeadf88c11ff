"""A short rest for clients that ask the same question again without a pause.

``docker stack rm`` polls the list of tasks in a loop without any wait of its own (thousands of
requests a second).  The answer can't be another one as long as the state is the same, so such a
client is held back a little; one that waits between its polls is not.
"""

from __future__ import annotations

from cluster.store.state import ClusterState

PAUSE_S = 0.05
_QUESTIONS_KEPT = 64


class Pacing:
    """Remembers when a question was last asked of which state."""

    def __init__(self) -> None:
        """Start without memory."""
        self._asked: dict[str, tuple[ClusterState, float]] = {}

    def pause_s(self, question: str, state: ClusterState, now_s: float) -> float:
        """Return how long to wait before answering, in seconds, 0 for not at all.

        Args:
            question: whatever makes two requests the same.
            state: what would be answered from.
            now_s: a clock that never goes back.
        """
        last = self._asked.pop(question, None)
        pause = 0.0
        if last is not None and last[0] is state:
            pause = max(0.0, last[1] + PAUSE_S - now_s)
        if len(self._asked) >= _QUESTIONS_KEPT:
            del self._asked[next(iter(self._asked))]
        self._asked[question] = (state, now_s + pause)
        return pause

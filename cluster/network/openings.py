"""Connections that are being opened to tasks which were just taken out of a balancer.

Their task was chosen before the change; the client's first packet may be on its way still, or it
was lost and comes again a second later, and the kernel would send it to that same task, which may
have closed its port by then. So a change is done only when such connections are open, or are
forgotten: then the next try of the client leads to another task.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from cluster.network.conntrack import SYN_SENT, Connection, Conntrack

LOOK_EVERY_S: Final = 0.1
"""A first packet that was not answered from one look to the next is taken for lost."""

PATIENCE_S: Final = 1.5
"""How long an answered client is waited for: it may have to ask a second time, after a second."""


class Openings:
    """The tasks that were taken out of one balancer and may get connections still."""

    def __init__(
        self, conntrack: Conntrack, *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with none; `conntrack` is that of the balancer's namespace."""
        self._conntrack = conntrack
        self._monotonic_s = monotonic_s
        self._withdrawn: dict[str, float] = {}  # address -> when its patience ends
        self._unanswered: set[bytes] = set()  # at the last look

    def withdraw(self, addresses: Iterable[str]) -> None:
        """Note tasks that get no new connections from now on."""
        until = self._monotonic_s() + PATIENCE_S
        self._withdrawn.update(dict.fromkeys(addresses, until))

    def settle(self) -> bool:
        """Look once, and forget what was lost; whether no connection is being opened any more."""
        now = self._monotonic_s()
        self._withdrawn = {a: until for a, until in self._withdrawn.items() if until > now}
        if not self._withdrawn or not self._conntrack.count():
            self._withdrawn = {}
            return True
        found = [o for o in self._conntrack.openings() if o.answering in self._withdrawn]
        before = self._unanswered
        self._unanswered = {_key(one) for one in found if one.state == SYN_SENT}
        lost = before & self._unanswered
        for one in found:
            if _key(one) in lost:
                self._conntrack.forget_one(one)
        opening = {one.answering for one in found if _key(one) not in lost}
        self._withdrawn = {a: until for a, until in self._withdrawn.items() if a in opening}
        return not self._withdrawn


def _key(connection: Connection) -> bytes:
    return connection.tuple_bytes + connection.zone

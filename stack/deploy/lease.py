"""The right to deploy a stack: nobody else changes it meanwhile.

A lease is short and renewed while a deployment goes on, so one whose client was killed is over
soon.  A server without stacks, such as a Docker Swarm, has no leases, and none is needed there.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from stack.deploy.converge import Pace
from stack.engine.client import EngineClient
from stack.errors import Conflict, EngineError, EngineUnreachable, NotFound, Unavailable

LEASE_S = 30
_RENEW_AFTER_S = 10.0
_POLL_S = 0.5


def holder_line(client: EngineClient, stack: str) -> str:
    """Who is deploying a stack, and since when; "" if nobody is."""
    try:
        lease = client.stack(stack).get("Lease")
    except NotFound:  # also: a server that keeps no stacks
        return ""
    return f"being deployed by {lease['Holder']} since {lease['Since']}" if lease else ""


class StackLease:
    """A reservation; a context that gives it back at its end, and raises if somebody broke it.

    `token` is "" and `is_kept` false where the server has no stacks.  `was_waited_for` says whether
    somebody else had it first.
    """

    def __init__(self, client: EngineClient, stack: str, holder: str, pace: Pace) -> None:
        self._client = client
        self._stack = stack
        self._holder = holder
        self._pace = pace
        self._renewed = 0.0
        self._is_held = False
        self.token = ""
        self.was_waited_for = False

    @classmethod
    def take(
        cls, client: EngineClient, stack: str, holder: str, *, wait_s: float, pace: Pace
    ) -> Self:
        """Reserve a stack, waiting for whoever has it.

        Raises:
            Conflict: somebody still had it after `wait_s` seconds.
        """
        lease = cls(client, stack, holder, pace)
        began = pace.now()
        while True:
            try:
                lease.token = client.lease_stack(stack, holder, LEASE_S)
            except NotFound:
                break
            except Conflict:
                if pace.now() - began >= wait_s:
                    raise
                lease.was_waited_for = True
                pace.sleep(_POLL_S)
            else:
                lease._is_held = True
                client.under_lease(lease.token)
                break
        lease._renewed = pace.now()
        return lease

    @property
    def is_kept(self) -> bool:
        """Whether the server keeps stacks."""
        return bool(self.token)

    @property
    def pace(self) -> Pace:
        """A pace for waiting under the lease, which is renewed meanwhile."""
        return Pace(now=self._pace.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self._pace.sleep(seconds)
        with contextlib.suppress(EngineUnreachable, Unavailable):  # a later time will do
            self.renew()

    def has_ended(self) -> None:
        """Take note that the server has ended it together with a deployment."""
        self._is_held = False

    def renew(self) -> None:
        """Go on with it, if it is time to.

        Raises:
            Conflict: it was over and somebody else has it now, or somebody has broken it.
        """
        now = self._pace.now()
        if self.token and now - self._renewed >= _RENEW_AFTER_S:
            self._client.lease_stack(self._stack, self._holder, LEASE_S, self.token)
            self._renewed = now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.under_lease("")
        if not self._is_held:
            return
        try:
            self._client.release_stack(self._stack, self.token)
        except Conflict:
            if kind is None:  # somebody has broken it, and may have changed the stack since
                raise
        except (EngineError, EngineUnreachable):
            return  # it ends by itself, soon

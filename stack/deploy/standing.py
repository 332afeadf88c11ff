"""How the deployment of a stack stands: what is deployed and by whom, as data.

docs/ci.md describes it as ``stack status --format json`` prints it with each service.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from stack.engine.client import EngineClient
from stack.engine.payloads import Json
from stack.errors import NotFound

RolloutState = Literal["under way", "held", "going back", "back", "stuck"]
RolloutFailure = Literal["", "failed", "unschedulable", "timed out"]


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What was deployed last, by whom and when.

    With `has_drifted` the stack is not as that says: another client has changed it, or an update
    was rolled back by itself.
    """

    number: int
    author: str
    created_at: str
    message: str
    has_drifted: bool


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the last deployment, if it was one with --atomic.

    It returns to the revision `former`, or where that is 0 removes what it made. `since` is when it
    came to be under way or to go back, `until` when that must be over. `reason` says why it goes
    back, and `task` which task is to blame.
    """

    revision: int
    former: int
    author: str
    state: RolloutState
    since: str
    until: str
    failure: RolloutFailure
    reason: str
    task: str


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who is deploying the stack just now; if they are gone, until when others are kept out."""

    holder: str
    since: str
    until: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; null is what there is not, and on a server without revisions all."""

    revision: Revision | None = None
    rollout: Rollout | None = None
    lease: Lease | None = None


def standing(client: EngineClient, stack: str) -> Standing:
    """Ask how the deployment of a stack stands."""
    try:
        shown = client.stack(stack)
        history = client.stack_history(stack)
    except NotFound:  # also: a server that keeps no stacks
        return Standing()
    return Standing(
        revision=_revision(history[0], shown) if history else None,
        rollout=_rollout(shown["Rollout"]) if shown.get("Rollout") else None,
        lease=_lease(shown["Lease"]) if shown.get("Lease") else None,
    )


def _revision(newest: Json, stack: Json) -> Revision:
    return Revision(
        number=newest["Number"],
        author=newest["Author"],
        created_at=newest["CreatedAt"],
        message=newest["Message"],
        has_drifted=stack.get("HasDrifted", False),
    )


def _rollout(shown: Json) -> Rollout:
    return Rollout(
        revision=shown["Revision"],
        former=shown["Former"],
        author=shown.get("Author", ""),
        state=shown["State"],
        since=shown.get("Since", ""),
        until=shown.get("Until", ""),
        failure=shown.get("Failure", ""),
        reason=shown.get("Reason", ""),
        task=shown.get("Task", ""),
    )


def _lease(shown: Json) -> Lease:
    return Lease(holder=shown["Holder"], since=shown["Since"], until=shown["Until"])

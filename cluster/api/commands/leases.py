"""The right to deploy a stack: who has it keeps all others from changing what belongs to the stack.

A lease is short and prolonged while a deployment goes on.  Whoever can't wait breaks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from cluster.api.commands.stack_revisions import services_of_stack, stack_object
from cluster.errors import AlreadyExists, InvalidArgument
from cluster.model.config import Config
from cluster.model.ids import NewId
from cluster.model.network import Network
from cluster.model.secret import Secret
from cluster.model.service import Service
from cluster.model.stack import Lease, Stack, stack_of
from cluster.model.units import SECOND_NS, Timestamp, after
from cluster.store.change import Change
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

LONGEST_LEASE_S: Final = 600


def take_lease(
    tx: Transaction, name: str, *, holder: str, token: str, seconds: int, new_id: NewId
) -> Lease:
    """Reserve a stack for one who deploys it, or go on doing so.

    Args:
        tx: the transaction.
        name: the stack, which need not exist.
        holder: who it is, for people.
        token: of the lease that is to go on, "" for a new one.
        seconds: how long from now, at most `LONGEST_LEASE_S`.
        new_id: makes tokens.

    Raises:
        AlreadyExists: somebody else holds it, or somebody broke the lease that is to go on.
        InvalidArgument: a time that is too short or too long.
    """
    if not 1 <= seconds <= LONGEST_LEASE_S:
        raise InvalidArgument(f"Seconds: {seconds} is not from 1 to {LONGEST_LEASE_S}")
    check_lease(tx, name, token)
    stack = stack_object(tx, name, new_id)
    before = stack.lease
    goes_on = before is not None and before.token == token
    lease = Lease(
        holder=holder,
        token=token or new_id(),
        since=before.since if before is not None and goes_on else tx.now,
        until=after(tx.now, seconds * SECOND_NS),
    )
    tx.update(replace(stack, lease=lease))
    return lease


def release_lease(tx: Transaction, name: str, token: str) -> None:
    """Let others deploy the stack; a lease that is over or somebody else's is left alone.

    Raises:
        AlreadyExists: somebody broke it, so that its holder was not alone until the end.
    """
    stack = tx.state.stack_by_name(name)
    if stack is None or stack.lease is None or stack.lease.token != token:
        return
    _check_broken(stack, token)
    if stack.revision or any(True for _ in services_of_stack(tx.state, name)):
        tx.update(replace(stack, lease=None))
    else:
        tx.delete(stack)


def break_lease(tx: Transaction, name: str, by: str) -> None:
    """End whoever's lease of a stack, for one who can't wait; its token is worth nothing then."""
    stack = tx.state.stack_by_name(name)
    lease = held_lease(stack, tx.now)
    if stack is not None and lease is not None:
        tx.update(replace(stack, lease=replace(lease, until=tx.now, broken_by=by or "somebody")))


def check_lease(tx: Transaction, name: str, token: str) -> None:
    """Check that nobody else is deploying the stack.

    Raises:
        AlreadyExists: somebody is, or somebody broke the lease of this token.
    """
    stack = tx.state.stack_by_name(name)
    _check_broken(stack, token)
    _check(stack, name, token, tx.now)


def check_leased_changes(tx: Transaction, before: ClusterState, token: str) -> None:
    """Check that nothing was changed that belongs to a stack which somebody else is deploying.

    Args:
        tx: with the changes.
        before: the state without them.
        token: of the lease of whoever made them, "" for none.

    Raises:
        AlreadyExists: something was.
    """
    for name in sorted({name for change in tx.changes for name in _stacks_of(change, before)}):
        _check(before.stack_by_name(name), name, token, tx.now)


def held_lease(stack: Stack | None, now: Timestamp) -> Lease | None:
    """Return the stack's lease unless it is over."""
    lease = stack.lease if stack else None
    return lease if lease is not None and lease.until > now else None


def _check_broken(stack: Stack | None, token: str) -> None:
    lease = stack.lease if stack else None
    if stack is not None and lease is not None and lease.broken_by and lease.token == token:
        raise AlreadyExists(
            f"{lease.broken_by} has ended this deployment's hold on stack {stack.name}"
        )


def _check(stack: Stack | None, name: str, token: str, now: Timestamp) -> None:
    lease = held_lease(stack, now)
    if lease is None or lease.token == token:
        return
    began = f"began {(now - lease.since) // SECOND_NS} s ago, " if lease.since else ""
    raise AlreadyExists(
        f"stack {name} is being deployed by {lease.holder or 'somebody else'} ({began}at most "
        f"{(lease.until - now) // SECOND_NS + 1} s more unless that is prolonged): wait until it "
        f"has ended, or end its hold with `stack unlock {name}`"
    )


def _stacks_of(change: Change, before: ClusterState) -> Iterator[str]:
    """Iterate over the stacks that a changed object belongs to, and has belonged to."""
    former = before.table_of(change.item).get(change.item.id)
    for item in (former, change.item):
        if isinstance(item, Service | Network | Secret | Config):
            name = stack_of(item.spec.labels)
            if name:
                yield name

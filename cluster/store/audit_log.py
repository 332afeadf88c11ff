"""Writes the audit log: what a transaction changes becomes an entry of the same transaction.

So the log holds nothing that did not happen, and misses nothing that did.  What is noted is found
in the changes and not in the request, whichever way it asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from cluster.model.audit import (
    KEPT_CHANGES,
    KEPT_ENTRIES,
    KEPT_OF_A_TOKEN,
    KEPT_REFUSALS,
    AuditedChange,
    AuditEntry,
    Author,
    Deed,
)
from cluster.model.cluster import Cluster
from cluster.model.config import Config
from cluster.model.ids import AuditId, TokenId, id_from_int
from cluster.model.meta import Meta
from cluster.model.network import Network
from cluster.model.node import Node
from cluster.model.secret import Secret
from cluster.model.service import Service
from cluster.model.stack import Stack, StackRevision, stack_of
from cluster.model.token import DeployToken
from cluster.model.units import SECOND_NS, DurationNs, Timestamp
from cluster.store.change import Change, Created, Deleted
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

REFUSAL_PAUSE_NS: Final[DurationNs] = 60 * SECOND_NS
"""Between two refusals of a token that are kept; those in between are in the leader's own log."""

_DROPPED_AT_ONCE: Final = 64
_STEPS_OF_ONE_REVISION: Final = 1 << 16
_LONGEST: Final = 200


def record(tx: Transaction, before: ClusterState, author: Author, action: str) -> None:
    """Note what a transaction has changed, if it is anything that people ask for.

    Args:
        tx: with all its changes.
        before: the state without them.
        author: who asked for them.
        action: what they asked for, such as "service update".
    """
    told = [(change, one) for change in tx.changes for one in _changes_of(change, before)]
    revisions = [
        change.item
        for change in tx.changes
        if isinstance(change, Created) and isinstance(change.item, StackRevision)
    ]
    if not told and not revisions:
        return
    newest = max(revisions, key=lambda one: one.number, default=None)
    stacks = {_stack_of(change) for change, _ in told}
    stack = newest.stack if newest else stacks.pop() if len(stacks) == 1 else ""
    _add(
        tx,
        AuditEntry(
            id=AuditId(""),
            meta=Meta(),
            author=author,
            action=action,
            stack=stack,
            revision=newest.number if newest else 0,
            changes=tuple(one for _, one in told[:KEPT_CHANGES]),
            left_out=max(0, len(told) - KEPT_CHANGES),
        ),
    )


def record_refusal(tx: Transaction, author: Author, action: str, reason: str) -> None:
    """Note what a deploy token was refused, unless one was noted a moment ago."""
    if may_note_refusal(tx.state, author.token_id, tx.now):
        entry = AuditEntry(
            id=AuditId(""), meta=Meta(), author=author, action=_cut(action), refusal=_cut(reason)
        )
        _add(tx, entry)


def may_note_refusal(state: ClusterState, token_id: TokenId, now: Timestamp) -> bool:
    """Whether it is so long since the last noted refusal of a token that one may be noted."""
    noted = state.audit.ids("refused", token_id)
    last = state.audit.get(noted[-1]) if noted else None
    return last is None or not 0 <= now - last.meta.created_at < REFUSAL_PAUSE_NS


def _add(tx: Transaction, entry: AuditEntry) -> None:
    at = tx.revision * _STEPS_OF_ONE_REVISION
    while id_from_int(at) in tx.state.audit:
        at += 1
    node = tx.state.node(entry.author.node_id)
    tx.create(replace(entry, id=AuditId(id_from_int(at)), node=node.hostname if node else ""))
    _drop_oldest(tx, entry.author.token_id)


def _drop_oldest(tx: Transaction, token_id: TokenId) -> None:
    """Drop what is too much of one token's, and of all."""
    audit = tx.state.audit
    too_many: list[str] = []
    if token_id:
        for index, kept in (("token", KEPT_OF_A_TOKEN), ("refused", KEPT_REFUSALS)):
            if audit.count(index, token_id) > kept:
                too_many += audit.ids(index, token_id)[:-kept]
    if len(audit) >= KEPT_ENTRIES + _DROPPED_AT_ONCE:
        too_many += [entry.id for entry in audit][:-KEPT_ENTRIES]
    for entry_id in dict.fromkeys(too_many):
        entry = audit.get(entry_id)
        assert entry is not None, "it was listed"
        tx.delete(entry)


def _stack_of(change: Change) -> str:
    item = change.item
    if isinstance(item, Service | Network | Secret | Config):
        return stack_of(item.spec.labels)
    return item.name if isinstance(item, Stack) else ""


def _changes_of(change: Change, before: ClusterState) -> Iterator[AuditedChange]:
    """Yield what people want to know of a change; nothing of what the cluster itself brings on."""
    item, deed = change.item, _deed(change)
    former: Any = before.table_of(item).get(item.id)
    match item:
        case Service():
            if deed != "updated" or item.spec != former.spec:
                yield _of_service(deed, item, former)
        case Network() | Secret() | Config():
            if deed != "updated" or item.spec != former.spec:
                kind = type(item).__name__.lower()
                yield AuditedChange(deed=deed, kind=kind, name=_cut(item.spec.name))
        case Node():
            if deed != "updated" or item.spec != former.spec:
                yield _of_node(deed, item, former)
        case Cluster():
            yield from _of_cluster(deed, item, former)
        case Stack():
            lease, was_broken = item.lease, former and former.lease and former.lease.broken_by
            if deed == "updated" and lease is not None and lease.broken_by and not was_broken:
                note = _cut(f"of {lease.holder}")
                yield AuditedChange(deed="removed", kind="lease", name=item.name, note=note)
        case DeployToken():
            note = "" if deed == "removed" else f"for {', '.join(item.stacks)}"
            done: Deed = "rotated" if deed == "updated" else deed
            yield AuditedChange(deed=done, kind="token", name=item.name, note=_cut(note))
        case _:
            return


def _deed(change: Change) -> Deed:
    match change:
        case Created():
            return "created"
        case Deleted():
            return "removed"
        case _:
            return "updated"


def _of_service(deed: Deed, service: Service, former: Service | None) -> AuditedChange:
    spec = service.spec
    notes = []
    image = _image(service)
    if deed != "removed" and (former is None or _image(former) != image):
        notes.append(image)
    before = former.spec if former is not None else None
    if deed == "updated" and before is not None and spec.replicas != before.replicas:
        notes.append(f"{before.replicas} to {spec.replicas} replicas")
        if replace(before, mode=spec.mode) == spec:
            deed = "scaled"
    return AuditedChange(
        deed=deed, kind="service", name=_cut(spec.name), note=_cut("; ".join(notes))
    )


def _image(service: Service) -> str:
    container = service.spec.task_template.container_spec
    return container.image.split("@", 1)[0] if container else ""


def _of_node(deed: Deed, node: Node, former: Node | None) -> AuditedChange:
    notes = []
    spec, before = node.spec, former.spec if former is not None else None
    if deed != "removed" and (before is None or before.role != spec.role):
        notes.append(f"role {spec.role}")
    if deed == "updated" and before is not None:
        if before.availability != spec.availability:
            notes.append(f"availability {spec.availability}")
        if before.labels != spec.labels:
            notes.append("labels")
    return AuditedChange(
        deed=deed, kind="node", name=_cut(node.hostname or node.id), note="; ".join(notes)
    )


def _of_cluster(deed: Deed, cluster: Cluster, former: Cluster | None) -> Iterator[AuditedChange]:
    if former is None or deed != "updated":
        yield AuditedChange(deed=deed, kind="cluster", name=_cut(cluster.spec.name))
        return
    if cluster.spec != former.spec:
        yield AuditedChange(deed="updated", kind="cluster", name=_cut(cluster.spec.name))
    for name, is_new in (
        ("worker join token", cluster.worker_token != former.worker_token),
        ("manager join token", cluster.manager_token != former.manager_token),
        ("unlock key", cluster.unlock_key != former.unlock_key),
        ("root certificate", cluster.signing_root.cert_pem != former.signing_root.cert_pem),
    ):
        if is_new:
            yield AuditedChange(deed="rotated", kind="cluster", name=name)


def _cut(text: str) -> str:
    """Return a text that others chose short and without what looks like something else."""
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])

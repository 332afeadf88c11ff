"""Stacks and their revisions as the extension ``/stacks`` shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cluster.api.commands.stack_revisions import has_drifted
from cluster.api.convert.services import service_spec_json
from cluster.api.convert.timestamps import rfc3339
from cluster.model.service import ServiceSpec
from cluster.model.stack import Rollout, Stack, StackRevision
from cluster.model.units import Timestamp, after
from cluster.store.state import ClusterState


def stack_json(
    state: ClusterState, name: str, services: Iterable[str], now: Timestamp
) -> dict[str, Any]:
    """Return a stack: its present revision, its services' names, and who is deploying it.

    One that is not as its revision says has `HasDrifted`.
    The last deployment that was to succeed as a whole is there with what became of it.
    """
    stack = state.stack_by_name(name)
    shown: dict[str, Any] = {
        "Name": name,
        "Revision": stack.revision if stack else 0,
        "Services": sorted(services),
    }
    if has_drifted(state, name):
        shown["HasDrifted"] = True
    if stack is not None and stack.rollout is not None:
        shown["Rollout"] = _rollout_json(stack.rollout)
    lease = _lease_json(stack, now)
    if lease:
        shown["Lease"] = lease
    return shown


def revision_json(state: ClusterState, revision: StackRevision) -> dict[str, Any]:
    """Return a revision in short: what it held, by name."""
    secrets = (state.secrets.get(one) for one in revision.secrets)
    configs = (state.configs.get(one) for one in revision.configs)
    return {
        "Number": revision.number,
        "CreatedAt": rfc3339(revision.meta.created_at),
        "Author": revision.author,
        "Message": revision.message,
        "Services": [_service_json(spec) for spec in revision.services],
        "Networks": [network.spec.name for network in revision.networks],
        "Secrets": sorted(secret.spec.name for secret in secrets if secret),
        "Configs": sorted(config.spec.name for config in configs if config),
    }


def full_revision_json(state: ClusterState, revision: StackRevision) -> dict[str, Any]:
    """Return a revision with the whole specs of its services."""
    specs = [service_spec_json(spec) for spec in revision.services]
    return revision_json(state, revision) | {"Specs": specs}


def _service_json(spec: ServiceSpec) -> dict[str, str]:
    container = spec.task_template.container_spec
    return {"Name": spec.name, "Image": container.image if container else ""}


def _rollout_json(rollout: Rollout) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Revision": rollout.revision,
        "Former": rollout.former,
        "State": rollout.state,
        "Author": rollout.author,
        "Since": rfc3339(rollout.began_at),
    }
    if rollout.is_pending:
        shown["Until"] = rfc3339(after(rollout.began_at, rollout.timeout_ns))
    if rollout.failure:
        shown |= {
            "Failure": rollout.failure,
            "Reason": rollout.reason,
            "Task": rollout.task_id,
        }
    return shown


def _lease_json(stack: Stack | None, now: Timestamp) -> dict[str, str]:
    """Return the lease without its token."""
    lease = stack.lease if stack else None
    if lease is None or lease.until <= now:
        return {}
    return {
        "Holder": lease.holder,
        "Since": rfc3339(lease.since),
        "Until": rfc3339(lease.until),
    }

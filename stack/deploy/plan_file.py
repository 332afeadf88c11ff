"""A plan in a file: what was shown, from which state, and for which compose files.

The file holds no content of a secret, config or variable.  What the compose files said is in it
as a salted scrypt digest (RFC 7914), so that they are read again when the plan is carried out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Final

import msgspec

from stack.deploy.differences import ObjectChange
from stack.deploy.plan import Observed
from stack.errors import StackError, UsageError
from stack.translate.stack_spec import StackSpec

_FORMAT: Final = 1


class Base(msgspec.Struct, frozen=True):
    """The state of a stack: its objects' names with what changes when they do."""

    services: dict[str, str]  # ID and version
    networks: dict[str, str]  # ID
    secrets: dict[str, str]  # ID
    configs: dict[str, str]  # ID


class PlanFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of the file."""

    format: int = _FORMAT
    stack: str
    prune: bool
    base: Base
    salt: str
    target: str  # digest of what the compose files say
    changes: tuple[ObjectChange, ...]


class StackHasMoved(StackError):
    """The stack, or the files that describe it, are not what a plan was made from."""


def plan_file(
    wanted: StackSpec,
    observed: Observed,
    changes: tuple[ObjectChange, ...],
    *,
    prune: bool,
    salt: str,
) -> PlanFile:
    """Make a plan's file; `salt` is random text."""
    return PlanFile(
        stack=wanted.name,
        prune=prune,
        base=base_of(observed),
        salt=salt,
        target=_digest(wanted, salt),
        changes=changes,
    )


def read_plan(data: bytes, place: str) -> PlanFile:
    """Read a plan.

    Raises:
        UsageError: it is none, or of another version; `place` names it.
    """
    try:
        plan = msgspec.json.decode(data, type=PlanFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{place}: no plan of `stack diff -o`: {error}") from None
    if plan.format != _FORMAT:
        raise UsageError(f"{place}: format {plan.format} is of another version: make the plan anew")
    return plan


def check_plan(plan: PlanFile, wanted: StackSpec, observed: Observed) -> None:
    """Check that a plan still fits.

    Raises:
        StackHasMoved: it does not; the message says what differs.
    """
    if plan.stack != wanted.name:
        raise StackHasMoved(f"the plan is for stack {plan.stack}, not {wanted.name}")
    if plan.target != _digest(wanted, plan.salt):
        raise StackHasMoved(
            "the compose files, or variables in them, say something else than when the plan was "
            "made, or registries have other digests for the images: make it anew"
        )
    moved = list(_differences(plan.base, base_of(observed)))
    if moved:
        raise StackHasMoved(
            f"stack {plan.stack} has moved since the plan was made: {'; '.join(moved)}: "
            "make the plan anew"
        )


def base_of(observed: Observed) -> Base:
    """The state of a stack as it is compared later."""
    return Base(
        services={
            name: f"{service['ID']} {service['Version']['Index']}"
            for name, service in sorted(observed.services.items())
        },
        networks={name: observed.network_ids[name] for name in sorted(observed.own_networks)},
        secrets={name: item["ID"] for name, item in sorted(observed.secrets.items())},
        configs={name: item["ID"] for name, item in sorted(observed.configs.items())},
    )


def _differences(before: Base, after: Base) -> Iterator[str]:
    for kind in ("services", "networks", "secrets", "configs"):
        old, new = getattr(before, kind), getattr(after, kind)
        for name in sorted({*old, *new}):
            if old.get(name) == new.get(name):
                continue
            what = "is new" if name not in old else "is gone" if name not in new else "was changed"
            yield f"{kind[:-1]} {name} {what}"


def _digest(wanted: StackSpec, salt: str) -> str:
    text = json.dumps(msgspec.to_builtins(wanted), sort_keys=True).encode()
    return hashlib.scrypt(text, salt=salt.encode(), n=16384, r=8, p=1, dklen=16).hex()

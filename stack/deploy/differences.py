"""What a plan changes, object by object and field by field, for people and machines.  Pure.

Values of environment variables and contents of files are never shown: only that they change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from stack.deploy.events import Action, Kind
from stack.deploy.plan import (
    CreateFile,
    CreateNetwork,
    CreateService,
    KeepService,
    Observed,
    Remove,
    Step,
    UpdateFile,
    UpdateService,
    comparable,
)
from stack.engine.payloads import Json, Task
from stack.translate.extensions import EXTENSION_LABEL

_HIDDEN = "(not shown)"
_ENV = "TaskTemplate.ContainerSpec.Env"
_PLACEMENT = "TaskTemplate.Placement"
_EXTENSIONS = f"Labels.{EXTENSION_LABEL}"
_OF_THE_TASK = (
    "TaskTemplate",
    "EndpointSpec",
    f"{_EXTENSIONS}.container",
    f"{_EXTENSIONS}.ports",
    f"{_EXTENSIONS}.pull_policy",
)


class FieldChange(msgspec.Struct, frozen=True):
    """One member of an object; `before` or `after` is null where it is not there."""

    path: str
    before: Any
    after: Any


class ObjectChange(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one object.

    `restarts` names the tasks that are replaced and `because` the members that make it necessary.
    `is_carried_out` is false for what only pruning would remove.
    """

    action: Action
    kind: Kind
    name: str
    fields: tuple[FieldChange, ...] = ()
    restarts: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    is_carried_out: bool = True


def changes_of(
    steps: Iterable[Step],
    observed: Observed,
    tasks: Iterable[Task],
    node_names: Mapping[str, str],
    *,
    prune: bool,
) -> Iterator[ObjectChange]:
    """Say what each step changes; what stays is left out.

    Args:
        steps: of a plan with pruning.
        observed: what the plan was made from.
        tasks: of the stack.
        node_names: node ID to host name.
        prune: whether removals are carried out.
    """
    tasks = list(tasks)
    names = {network_id: name for name, network_id in observed.network_ids.items()}
    for step in steps:
        match step:
            case CreateNetwork(request):
                yield ObjectChange(action="create", kind="network", name=request["Name"])
            case CreateFile(kind, request):
                yield ObjectChange(action="create", kind=kind, name=request["Name"])
            case UpdateFile(kind, current, request):
                fields = _fields(
                    {"Labels": current["Spec"].get("Labels") or {}}, {"Labels": request["Labels"]}
                )
                yield ObjectChange(
                    action="update", kind=kind, name=request["Name"], fields=tuple(fields)
                )
            case CreateService(spec):
                yield ObjectChange(action="create", kind="service", name=spec["Name"])
            case UpdateService(service_id, _, spec):
                current_spec = observed.services[spec["Name"]]["Spec"]
                mine = [t for t in tasks if t.get("ServiceID") == service_id]
                yield _of_service(current_spec, spec, names, mine, node_names)
            case Remove(kind, _, name):
                yield ObjectChange(action="remove", kind=kind, name=name, is_carried_out=prune)
            case KeepService():
                pass


def text_lines(change: ObjectChange) -> Iterator[str]:
    """A change as lines for people."""
    sign = {"create": "+", "update": "~", "remove": "-", "keep": " "}[change.action]
    note = "" if change.is_carried_out else " (only with --prune)"
    yield f"{sign} {change.kind} {change.name}: {change.action}{note}"
    for field in change.fields:
        if field.before is None:
            yield f"    + {field.path}: {_shown(field.after)}"
        elif field.after is None:
            yield f"    - {field.path}: {_shown(field.before)}"
        else:
            yield f"    ~ {field.path}: {_shown(field.before)} -> {_shown(field.after)}"
    if change.because:
        reasons = ", ".join(change.because)
        if change.restarts:
            yield f"    restarts {', '.join(change.restarts)}: {reasons}"
        else:
            yield f"    new tasks when there are any: {reasons}"


def _of_service(
    current: Json,
    spec: Json,
    network_names: Mapping[str, str],
    tasks: Iterable[Task],
    node_names: Mapping[str, str],
) -> ObjectChange:
    fields = tuple(_fields(_readable(current, network_names), _readable(spec, network_names)))
    because = tuple(
        dict.fromkeys(
            field.path
            for field in fields
            if field.path.startswith(_OF_THE_TASK) and not field.path.startswith(_PLACEMENT)
        )
    )
    return ObjectChange(
        action="update",
        kind="service",
        name=spec["Name"],
        fields=fields,
        restarts=tuple(_running(spec["Name"], tasks, node_names)) if because else (),
        because=because,
    )


def _running(service: str, tasks: Iterable[Task], node_names: Mapping[str, str]) -> Iterator[str]:
    found = []
    for task in tasks:
        if task.get("DesiredState") == "running" and task["Status"].get("State") == "running":
            node = task.get("NodeID", "")
            where = node_names.get(node, node)
            found.append((task.get("Slot", 0), f"{service}.{task.get('Slot') or node}@{where}"))
    return (name for _, name in sorted(found))


def _readable(spec: Json, network_names: Mapping[str, str]) -> Json:
    """A spec in which equal meanings are equal, and settings are out of their label."""
    found = comparable(spec, network_names)
    assert isinstance(found, tuple)
    plain: Json = found[0]
    labels = plain.get("Labels") or {}
    if EXTENSION_LABEL in labels:
        document = json.loads(labels[EXTENSION_LABEL])
        plain = {**plain, "Labels": {**labels, EXTENSION_LABEL: document}}
    return plain


def _fields(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    if before == after:
        return
    if path == _ENV:
        yield from _variables(before or [], after or [])
    elif isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            here = f"{path}.{name}" if path else name
            yield from _fields(before.get(name), after.get(name), here)
    elif isinstance(before, dict | None) and isinstance(after, dict | None) and path:
        yield from _fields(before or {}, after or {}, path)
    else:
        yield FieldChange(path, before, after)


def _variables(before: Iterable[str], after: Iterable[str]) -> Iterator[FieldChange]:
    old, new = (dict(one.partition("=")[::2] for one in each) for each in (before, after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield FieldChange(
                f"{_ENV}.{name}",
                _HIDDEN if name in old else None,
                _HIDDEN if name in new else None,
            )


def _shown(value: Any) -> str:
    return value if value == _HIDDEN else json.dumps(value, ensure_ascii=False, sort_keys=True)

"""Waiting for tasks to leave drained nodes, or to be spread anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from stack.deploy.progress import ENDED
from stack.engine.client import EngineClient
from stack.engine.payloads import Json, Node
from stack.errors import EngineUnreachable, NotConverged, OutOfSequence, StackError, Unavailable

REBALANCE_LABEL: Final = "com.stackyard.rebalance"
"""Label of the cluster's spec; each new value asks once that tasks be spread anew."""

_POLL_S = 0.2


class Pace(msgspec.Struct, frozen=True):
    """The clock of the waiting; tests give a virtual one."""

    now: Callable[[], float] = time.monotonic  # seconds
    sleep: Callable[[float], None] = time.sleep


def wait_until_empty(
    client: EngineClient,
    nodes: Sequence[Node],
    *,
    timeout_s: float,
    say: Callable[[str], None],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> None:
    """Poll until no task runs on the nodes any more.

    Raises:
        NotConverged: the time is over; the message names how many tasks are left, and why their
            replacements do not run.
    """
    names = {node["ID"]: _name(node) for node in nodes}
    told: dict[str, int] = {}

    def look() -> bool:
        tasks = client.tasks({"node": list(names)})
        left = [t for t in tasks if t.get("Status", {}).get("State", "") not in ENDED]
        for node_id, name in names.items():
            count = sum(1 for task in left if task.get("NodeID") == node_id)
            if told.get(node_id) != count:
                told[node_id] = count
                say(f"{name}: {count} task{'' if count == 1 else 's'} left")
        return not left

    def why() -> str:
        services = {
            task["ServiceID"]
            for task in client.tasks({"node": list(names)})
            if task.get("Status", {}).get("State", "") not in ENDED
        }
        reasons = {
            str(task["Status"]["Err"])
            for task in client.tasks({"service": sorted(services)} if services else None)
            if task.get("ServiceID") in services
            and task.get("DesiredState") in ("ready", "running")
            and task.get("Status", {}).get("Err")
        }
        left = ", ".join(f"{names[node_id]}: {count}" for node_id, count in told.items())
        return "; ".join((f"tasks are left after {timeout_s:g} s ({left})", *sorted(reasons)))

    _poll(look, why, timeout_s, pace)


def ask_to_rebalance(client: EngineClient, request: str) -> str:
    """Ask that tasks be spread anew; an empty request takes the wish back.

    Returns:
        The request that is being answered: an earlier one that is not done yet, or the new one.
    """
    try:
        return _ask(client, request)
    except OutOfSequence:  # someone else changed the cluster in between: once more
        return _ask(client, request)


def wait_until_balanced(
    client: EngineClient,
    request: str,
    *,
    timeout_s: float,
    say: Callable[[str], None],
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> None:
    """Poll until a request was answered.

    Raises:
        NotConverged: the time is over, or it was stopped; the message says why.
    """
    told: list[str] = []

    def look() -> bool:
        progress = client.cluster().get("StackyardRebalancing") or {}
        if progress.get("Request") != request:
            return False
        moved, message = progress.get("Moved", 0), progress.get("Message", "")
        count = f"{moved} task{'' if moved == 1 else 's'}"
        if progress["State"] == "stopped":
            raise NotConverged(f"stopped after {count}: {message}")
        is_done = bool(progress["State"] == "done")
        line = f"{count} moved" if is_done else f"{count} moved or moving: {message}"
        if told[-1:] != [line]:
            told.append(line)
            say(line)
        return is_done

    def why() -> str:
        last = told[-1] if told else "the cluster has not begun"
        return f"not done after {timeout_s:g} s, and still going on: {last}"

    _poll(look, why, timeout_s, pace)


def _ask(client: EngineClient, request: str) -> str:
    cluster = client.cluster()
    spec: Json = cluster["Spec"]
    labels = dict(spec.get("Labels") or {})
    present = labels.get(REBALANCE_LABEL, "")
    progress = cluster.get("StackyardRebalancing") or {}
    is_under_way = progress.get("Request") == present and progress.get("State") == "moving"
    if request and present and is_under_way:
        return str(present)
    if request:
        labels[REBALANCE_LABEL] = request
    elif labels.pop(REBALANCE_LABEL, None) is None:
        raise StackError("no rebalancing was asked for")
    client.update_cluster(cluster["Version"]["Index"], {**spec, "Labels": labels})
    return request


def _poll(look: Callable[[], bool], why: Callable[[], str], timeout_s: float, pace: Pace) -> None:
    began = pace.now()
    while True:
        is_late = pace.now() - began > timeout_s
        try:
            if look():
                return
        except (EngineUnreachable, Unavailable):
            if is_late:
                raise
            # a manager restarts or a new leader is elected: look again
        if is_late:
            raise NotConverged(why())
        pace.sleep(_POLL_S)


def _name(node: Node) -> str:
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])

"""What else is to be said of tasks that failed: where they were, and their last lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stack.deploy.events import FailureEvent
from stack.engine.client import EngineClient
from stack.errors import EngineError, EngineUnreachable, FailedTask

LAST_LINES = 10
_PATIENCE_S = 5.0  # a node that is lost never sends its part of a log


def failure_events(client: EngineClient, failed: Iterable[FailedTask]) -> Iterator[FailureEvent]:
    """Ask for node names and logs; what cannot be had is left out."""
    for task in failed:
        where = task.slot or task.node_id
        yield FailureEvent(
            service=task.service,
            task=f"{task.service}.{where}" if where else task.service,
            node=_node_name(client, task.node_id),
            reason=task.reason,
            exit_code=task.exit_code,
            log=_last_lines(client, task) if task.may_have_logs else (),
        )


def _node_name(client: EngineClient, node_id: str) -> str:
    if not node_id:
        return ""
    try:
        node = client.node(node_id)
    except (EngineError, EngineUnreachable):
        return node_id
    return str((node.get("Description") or {}).get("Hostname") or node_id)


def _last_lines(client: EngineClient, task: FailedTask) -> tuple[str, ...]:
    query = {"stdout": 1, "stderr": 1, "details": 1, "tail": LAST_LINES}
    found = []
    try:
        lines = client.logs(
            f"tasks/{task.task_id}",
            query,
            framed=not task.has_terminal,
            moments=False,
            patience_s=_PATIENCE_S,
        )
        for line in lines:
            found += line.text.decode(errors="replace").splitlines()
    except (EngineError, EngineUnreachable):
        pass  # the container is gone, or its node
    return tuple(found[-LAST_LINES:])

"""Fills in ``{{.Task.Slot}}`` and its like in a service's environment, host name and mounts."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.model.node import NodeDescription
from cluster.model.task import Task
from cluster.model.templates import Function, fill


class Templates:
    """The values that templates of one task can name."""

    def __init__(
        self, task: Task, node: NodeDescription, functions: Mapping[str, Function] | None = None
    ) -> None:
        """Collect the values of a task on a node; `functions` as of `cluster.model.templates`."""
        self._functions = functions or {}
        self._labels = task.service_labels
        self._values = {
            ".Service.ID": str(task.service_id),
            ".Service.Name": task.service_name,
            ".Task.ID": str(task.id),
            ".Task.Name": task.container_name,
            ".Task.Slot": str(task.slot or task.node_id),
            ".Node.ID": str(task.node_id),
            ".Node.Hostname": node.hostname,
            ".Node.Platform.OS": node.platform.os,
            ".Node.Platform.Architecture": node.platform.architecture,
        }

    def fill(self, text: str, place: str) -> str:
        """Replace every template in `text`, as `cluster.model.templates.fill` says."""
        return fill(text, place, self._values, self._labels, self._functions)

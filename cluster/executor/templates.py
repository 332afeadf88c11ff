"""Fills in ``{{.Task.Slot}}`` and its like in a service's environment, host name and mounts."""

from __future__ import annotations

import re
from typing import Final

from cluster.errors import InvalidArgument
from cluster.model.node import NodeDescription
from cluster.model.task import Task

_ACTION: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_PLAIN: Final = re.compile(r"\.[A-Za-z][\w.]*")
_LABEL: Final = re.compile(r'index\s+\.Service\.Labels\s+"([^"]*)"')
_LABEL_MEMBER: Final = ".Service.Labels."


class Templates:
    """The values that templates of one task can name."""

    def __init__(self, task: Task, node: NodeDescription) -> None:
        """Collect the values of a task on a node."""
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
        """Replace every template in `text`.

        Args:
            text: may be secret: an error never shows more of it than a template's name.
            place: names the setting in an error.

        Raises:
            InvalidArgument: a template that does not exist.
        """
        if "{{" not in text:
            return text
        filled = _ACTION.sub(lambda match: self._value(match.group(1), place), text)
        if "{{" in _ACTION.sub("", text):
            raise InvalidArgument(f"{place}: a template is opened by {{{{ and never closed")
        return filled

    def _value(self, action: str, place: str) -> str:
        if action in self._values:
            return self._values[action]
        label = _LABEL.fullmatch(action)
        if label is not None:
            return self._labels.get(label.group(1), "")
        if action.startswith(_LABEL_MEMBER):
            return self._labels.get(action.removeprefix(_LABEL_MEMBER), "")
        shown = f"{{{{{action}}}}}" if _PLAIN.fullmatch(action) else "one of its templates"
        known = ", ".join((*self._values, '.Service.Labels.NAME, index .Service.Labels "NAME"'))
        raise InvalidArgument(f"{place}: {shown} is unknown; there are {known}")

"""The language of ``{{.Task.Slot}}`` and its like in a service's environment, host name and mounts.

It is the part of Docker Swarm's that names a value.  The API refuses what it does not know, and the
executor fills in the values of one task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from cluster.errors import InvalidArgument
from cluster.model.spec_struct import Labels

Function = Callable[[str], str]
"""What ``{{NAME "TEXT"}}`` stands for, given the text."""

NAMES: Final = (
    ".Service.ID",
    ".Service.Name",
    ".Task.ID",
    ".Task.Name",
    ".Task.Slot",
    ".Node.ID",
    ".Node.Hostname",
    ".Node.Platform.OS",
    ".Node.Platform.Architecture",
)
"""What a template can name, beside a label of the service."""

_ACTION: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_PLAIN: Final = re.compile(r"\.[A-Za-z][\w.]*")
_LABEL: Final = re.compile(r'index\s+\.Service\.Labels\s+"([^"]*)"')
_CALL: Final = re.compile(r'(\w+)\s+"([^"]*)"')
_LABEL_MEMBER: Final = ".Service.Labels."
_NO_VALUES: Final = dict.fromkeys(NAMES, "")
_NO_FUNCTIONS: Final[Mapping[str, Function]] = {}


def check(text: str, place: str) -> None:
    """Check every template in `text`; arguments and errors as with `fill`."""
    fill(text, place, _NO_VALUES, {})


def fill(
    text: str,
    place: str,
    values: Mapping[str, str],
    labels: Labels,
    functions: Mapping[str, Function] = _NO_FUNCTIONS,
) -> str:
    """Replace every template in `text`.

    Args:
        text: may be secret: an error never shows more of it than a template's name.
        place: names the setting in an error.
        values: the value of each of `NAMES`.
        labels: the service's; one that is not there is empty.
        functions: what can be called with a text, beside the values.

    Raises:
        InvalidArgument: a template that does not exist.
        ClusterError: what a function raises.
    """

    def value(match: re.Match[str]) -> str:
        call = _CALL.fullmatch(match.group(1))
        if call is not None and call.group(1) in functions:
            return functions[call.group(1)](call.group(2))
        return _value(match.group(1), place, values, labels)

    if "{{" not in text:
        return text
    filled = _ACTION.sub(value, text)
    if "{{" in _ACTION.sub("", text):
        raise InvalidArgument(f"{place}: a template is opened by {{{{ and never closed")
    return filled


def _value(action: str, place: str, values: Mapping[str, str], labels: Labels) -> str:
    if action in values:
        return values[action]
    label = _LABEL.fullmatch(action)
    if label is not None:
        return labels.get(label.group(1), "")
    if action.startswith(_LABEL_MEMBER):
        return labels.get(action.removeprefix(_LABEL_MEMBER), "")
    shown = f"{{{{{action}}}}}" if _PLAIN.fullmatch(action) else "one of its templates"
    known = ", ".join((*NAMES, '.Service.Labels.NAME, index .Service.Labels "NAME"'))
    raise InvalidArgument(f"{place}: {shown} is unknown; there are {known}")

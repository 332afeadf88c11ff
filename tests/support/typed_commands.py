"""What README.md and the documents for operators and newcomers tell people to type.

`commands` finds it, and a check compares it with what tests type (`Typed`) and with `NOT_TYPED`, so
that a command which is new in a document is typed by a test, or named here with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT = Path(__file__).parents[2]
README: Final = "README.md"
FIRST_STEPS: Final = "docs/first-steps.md"
INSTALL: Final = "docs/operations/install.md"
DOCUMENTS: Final = (
    README,
    FIRST_STEPS,
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/operations").glob("*.md")),
)

_BLOCK = re.compile(r"^(?:<!-- (\w+) -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_INSTALLS = "installs the package; scripts/bootstrap has done so for the tests"
_STARTS = "the lab has started it, with paths of its own"
_SYSTEMD = "a host of the lab has no systemd"

NOT_TYPED: Final = {
    "scripts/demo": "brings up three hosts of its own beside those of the tests",
    "scripts/test": "runs the tests",
    "python3 -m venv .venv": _INSTALLS,
    ".venv/bin/pip install .": _INSTALLS,
    "python3 -m venv /opt/stackyard": _INSTALLS,
    "/opt/stackyard/bin/pip install .": _INSTALLS,
    "ln -s /opt/stackyard/bin/stack /opt/stackyard/bin/stackd /opt/stackyard/bin/stack-netd "
    "/usr/local/bin/": _INSTALLS,
    "stack-netd &": _STARTS,
    "stackd &": _STARTS,
    "stackd --log-level debug": _STARTS,
    "cp scripts/systemd/stack-netd.service scripts/systemd/stackd.service /etc/systemd/system/": _SYSTEMD,
    "systemctl enable --now stack-netd stackd": _SYSTEMD,
}
"""Commands that no test types, and why."""


class Typed(NamedTuple):
    """A command that a test types: where it stands, and on which host it is typed."""

    document: str
    host: int
    command: str


def commands(document: str) -> list[str]:
    """The commands of a document, without comments, sudo and the folder of a program."""
    lines = (line for block in blocks(document, "sh") for line in block.splitlines())
    return [_plain(line) for line in lines if _plain(line)]


def blocks(document: str, language: str) -> list[str]:
    """The blocks of a document in a language, in order.

    One with a name in a comment above it is left out: a test of its own takes it as a whole.
    """
    found = _BLOCK.findall((ROOT / document).read_text())
    return [block for name, its_language, block in found if its_language == language and not name]


def _plain(line: str) -> str:
    line = re.sub(r"(^|\s{2,})#.*", "", line).strip().removeprefix("sudo ")
    return re.sub(r"^\.venv/bin/(?=stack)", "", line)


def replaced(text: str, words: Mapping[str, str]) -> str:
    """Return a text with other words for some, one after the other."""
    for word, other in words.items():
        text = text.replace(word, other)
    return text

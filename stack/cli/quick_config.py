"""``stack config`` without the command-line library, which takes longer to import than it runs.

Whatever is not understood here, a wrong or shortened option for example, is left to the library:
`stack.cli.config` has the same options, and a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stack.cli.project import ProjectChoice
from stack.cli.shown_project import LISTS, Shown

# option: (member, what it may be; None: any text). Those with an "s" at their end may be repeated.
WITH_VALUE: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "-c": ("files", None),
    "-f": ("files", None),
    "--compose-file": ("files", None),
    "--file": ("files", None),
    "--env-file": ("env_files", None),
    "--profile": ("profiles", None),
    "--project-directory": ("directory", None),
    "--format": ("form", ("yaml", "json")),
    "--hash": ("hashed", None),
    "-o": ("output", None),
    "--output": ("output", None),
}
FLAGS: dict[str, tuple[str, object]] = {
    **{f"--{name}": ("lists", name) for name in (*LISTS, "objects")},
    "--no-interpolate": ("no_interpolate", True),
    "-q": ("quiet", True),
    "--quiet": ("quiet", True),
    "--strict": ("strict", True),
}
_REPEATED = frozenset(("files", "env_files", "profiles"))
_OF_PROJECT = (*_REPEATED, "directory", "strict")


def read_quickly(arguments: list[str]) -> Shown | None:
    """What the words behind ``stack config`` ask for; None if that is for the library to say."""
    found: dict[str, Any] = {}
    words = iter(arguments)
    for word in words:
        if not word.startswith("-") or word == "-":
            if "stack" in found:
                return None
            found["stack"] = word
        elif word in FLAGS:
            name, value = FLAGS[word]
            found[name] = value
        elif not _take_value(word, words, found):
            return None
    project = {name: found.pop(name) for name in _OF_PROJECT if name in found}
    return Shown(ProjectChoice(**project), **found)


def _take_value(word: str, words: Iterator[str], found: dict[str, Any]) -> bool:
    option, joined, value = word.partition("=")
    if option not in WITH_VALUE or (joined and not option.startswith("--")):
        return False
    text = value if joined else next(words, None)
    name, choices = WITH_VALUE[option]
    if text is None or (choices and text not in choices) or (not joined and text.startswith("--")):
        return False
    found[name] = (*found.get(name, ()), text) if name in _REPEATED else text
    return True

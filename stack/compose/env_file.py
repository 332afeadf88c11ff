"""The ``.env`` grammar of Compose: ``KEY=value`` lines with quotes, comments and variables.

Unquoted values end at a blank and ``#`` and are interpolated; double quotes know the usual
backslash escapes and are interpolated; single quotes are literal.  Quoted values may span lines.
Variables look in the surrounding environment first, then among the earlier keys of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stack.compose.interpolation import BadTemplate, Lookup, RequiredVariable, interpolate
from stack.errors import ComposeError

_KEY = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[\w.\-\[\]]+)[ \t]*(?P<sign>[=:]?)[ \t]*")
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
    "$": "$$",  # interpolation makes the two dollar signs one again
}


class UnclosedQuote(Exception):
    """A quoted value that does not end."""


def read_env_text(
    text: str,
    file: str,
    surrounding: Mapping[str, str] | Lookup,
    behind: Lookup | None = None,
) -> dict[str, str]:
    """Read a ``.env`` text.

    Args:
        text: the file's content.
        file: its name, for messages.
        surrounding: the variables that references in values see first (the shell's), or a
            function that gives them.
        behind: variables that references see when neither those nor the file have them.

    Raises:
        ComposeError: a line that is no ``KEY=value``; names file and line.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    values: dict[str, str] = {}
    outside = surrounding.get if isinstance(surrounding, Mapping) else surrounding

    def lookup(name: str) -> str | None:
        value = outside(name)
        if value is None:
            value = values.get(name)
        return behind(name) if value is None and behind else value

    position = 0
    while position < len(text):
        if text[position] in " \t\n":
            position += 1
            continue
        if text[position] == "#":
            position = _line_end(text, position)
            continue
        position = _assignment(text, position, file, lookup, values)
    return values


def read_raw_env_text(text: str, file: str, lookup: Lookup) -> dict[str, str]:
    """Read lines of ``KEY=value`` literally, as ``docker run --env-file`` does.

    Args:
        text: the file's content.
        file: its name, for messages.
        lookup: gives a key that stands alone its value.

    Raises:
        ComposeError: a line with a blank in its key, or without a key; names file and line.
    """
    values: dict[str, str] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.lstrip()
        if not line or line.startswith("#"):
            continue
        key, sign, value = line.partition("=")
        if not key or any(blank in key for blank in " \t"):
            raise ComposeError(f"{file}:{number}: not of the form KEY=value")
        if sign:
            values[key] = value
        elif (inherited := lookup(key)) is not None:
            values[key] = inherited
    return values


def _assignment(text: str, position: int, file: str, lookup: Lookup, values: dict[str, str]) -> int:
    """Read one assignment into `values`; give the position behind it."""
    line = text.count("\n", 0, position) + 1
    end = _line_end(text, position)
    match = _KEY.match(text, position, end)
    if not match:
        raise ComposeError(f"{file}:{line}: not of the form KEY=value")
    key, after = match["key"], match.end()
    if not match["sign"]:
        rest = text[after:end].strip()
        if rest and not rest.startswith("#"):
            raise ComposeError(f"{file}:{line}: a key cannot contain a space")
        inherited = lookup(key)
        if inherited is not None:
            values[key] = inherited
        return end
    try:
        values[key], end = _value(text, after, end, lookup)
    except (RequiredVariable, UnclosedQuote) as error:
        raise ComposeError(f"{file}:{line}: {key}: {error}") from None
    except BadTemplate:  # its message shows the value, which may be a secret
        problem = (
            "a quote is never closed, or a ${ begins no variable (write $$ for a plain dollar)"
        )
        raise ComposeError(f"{file}:{line}: {key}: {problem}") from None
    return end


def _value(text: str, start: int, end: int, lookup: Lookup) -> tuple[str, int]:
    quote = text[start : start + 1] if start < end else ""
    if quote == "'":
        close = _closing_quote(text, start)
        return text[start + 1 : close].replace("\\'", "'"), _line_end(text, close)
    if quote == '"':
        close = _closing_quote(text, start)
        unescaped = _unescape(text[start + 1 : close])
        return interpolate(unescaped, lookup, lambda _: None), _line_end(text, close)
    raw = text[start:end]
    raw = raw.partition(" #")[0]
    return interpolate(raw.strip(), lookup, lambda _: None), end


def _closing_quote(text: str, start: int) -> int:
    position = start + 1
    while position < len(text):
        if text[position] == "\\":
            position += 2
        elif text[position] == text[start]:
            return position
        else:
            position += 1
    raise UnclosedQuote(f"the quote {text[start]} is never closed")


def _unescape(raw: str) -> str:
    return re.sub(
        r"\\(0[0-7]{1,3}|.)",
        lambda found: chr(int(found[1], 8)) if found[1][1:] else _ESCAPES.get(found[1], found[0]),
        raw,
        flags=re.DOTALL,
    )


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end

"""YAML text to trees, with the scalar rules of go-yaml v3 and every line number kept.

PyYAML's own rules are those of YAML 1.1 and differ from what Docker's tools read: ``yes`` and
``on`` would become booleans, ``22:22`` a base-60 number, ``1e3`` text.  So only its (C) parser is
used; plain scalars are typed here, after go-yaml's resolve rules.
"""

from __future__ import annotations

import binascii
import math
import re
from typing import Any

import yaml

from stack.compose.tree import DATE, Entry, Mapping, Mark, Node, Scalar, ScalarValue, Sequence, fail
from stack.errors import ComposeError

MAX_EXPANDED_NODES = 60_000
"""Bound on the nodes of a document once aliases are written out: a guard against alias bombs."""

MAX_DEPTH = 100
"""How deep maps and lists may stand inside each other."""

_PLAIN = "plain"
_BASE: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read_yaml(text: str | bytes, file: str) -> list[Node]:
    """Read all documents of a YAML text; empty documents are left out.

    Raises:
        ComposeError: the text is no YAML, or uses what a compose file may not hold (a key that
            is no text, a key twice in one map, an anchor inside itself, an alias bomb).
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise _syntax_error(error, file) from None
    builder = _TreeBuilder(file)
    documents: list[Node] = []
    try:
        while loader.check_node():
            root = builder.build(loader.get_node())
            if not (isinstance(root, Scalar) and root.value is None):
                documents.append(root)
    except yaml.YAMLError as error:
        raise _syntax_error(error, file) from None
    except RecursionError:
        raise ComposeError(f"{file}: nested too deeply") from None
    finally:
        loader.dispose()
    return documents


class _Loader(_BASE):  # type: ignore[misc]  # chosen at run time: the C parser where it is built
    """The parser, with typing of plain scalars left to us."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        """Tell plain scalars from quoted ones; the tag of a node without one."""
        if kind is yaml.ScalarNode and value is not None:
            return _PLAIN if implicit[0] else "tag:yaml.org,2002:str"
        return "tag:yaml.org,2002:seq" if kind is yaml.SequenceNode else "tag:yaml.org,2002:map"


class _TreeBuilder:
    """Turns the parser's nodes of one file into ours; a shared node stays shared."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._built: dict[int, tuple[Node, int]] = {}
        self._open: set[int] = set()
        self._alive: list[yaml.Node] = []  # keeps ids in _built unique

    def build(self, root: yaml.Node) -> Node:
        return self._node(root)[0]

    def _node(self, source: yaml.Node) -> tuple[Node, int]:
        """The node and its size with aliases written out."""
        known = self._built.get(id(source))
        if known:
            return known
        mark = self._mark(source)
        if id(source) in self._open:
            raise fail(mark, "", "an anchor refers to itself")
        if len(self._open) >= MAX_DEPTH:
            raise fail(mark, "", f"nested more than {MAX_DEPTH} deep")
        self._open.add(id(source))
        built: tuple[Node, int]
        if isinstance(source, yaml.ScalarNode):
            built = Scalar(_scalar(source), mark, _own_tag(source)), 1
        elif isinstance(source, yaml.SequenceNode):
            children = [self._node(child) for child in source.value]
            size = 1 + sum(child[1] for child in children)
            built = Sequence(tuple(child[0] for child in children), mark, _own_tag(source)), size
        else:
            assert isinstance(source, yaml.MappingNode)
            built = self._mapping(source, mark)
        if built[1] > MAX_EXPANDED_NODES:
            raise fail(
                mark,
                "",
                f"more than {MAX_EXPANDED_NODES} values with aliases written out",
            )
        self._open.discard(id(source))
        self._built[id(source)] = built
        self._alive.append(source)
        return built

    def _mapping(self, source: yaml.MappingNode, mark: Mark) -> tuple[Node, int]:
        entries: dict[str, Entry] = {}
        merged: list[Mapping] = []
        merge_mark: Mark | None = None
        size = 1
        for key_source, value_source in source.value:
            key_mark = self._mark(key_source)
            value, value_size = self._node(value_source)
            size += value_size
            if _is_merge_key(key_source):
                if merge_mark is not None:
                    problem = f"'<<' is there twice (first in line {merge_mark.line}): "
                    raise fail(key_mark, "", f"{problem}give it a list of maps")
                merge_mark = key_mark
                merged.extend(self._merge_sources(value, key_mark))
                continue
            key = _key(key_source, key_mark)
            if key in entries:
                first = entries[key].key_mark.line
                raise fail(key_mark, "", f"key '{key}' is there twice (first in line {first})")
            entries[key] = Entry(key_mark, value)
        for other in merged:  # an explicit key wins wherever it stands, then the earlier map
            for key, entry in other.entries.items():
                entries.setdefault(key, entry)
        return Mapping(entries, mark, _own_tag(source)), size

    def _merge_sources(self, value: Node, mark: Mark) -> list[Mapping]:
        candidates = value.items if isinstance(value, Sequence) else (value,)
        maps = [candidate for candidate in candidates if isinstance(candidate, Mapping)]
        if len(maps) != len(candidates):
            raise fail(mark, "", "'<<' needs a map or a list of maps")
        return maps

    def _mark(self, source: yaml.Node) -> Mark:
        start = source.start_mark
        return Mark(self._file, start.line + 1, start.column + 1)


def _is_merge_key(source: yaml.Node) -> bool:
    return isinstance(source, yaml.ScalarNode) and source.tag == _PLAIN and source.value == "<<"


def _key(source: yaml.Node, mark: Mark) -> str:
    if not isinstance(source, yaml.ScalarNode):
        raise fail(mark, "", "a key must be text")
    value = _scalar(source)
    if not isinstance(value, str) or _is_date(source):
        raise fail(mark, "", f"key {source.value!r} is not text: put it in quotes")
    return value


def _own_tag(source: yaml.Node) -> str:
    """A tag the user wrote, such as !reset; "" for the standard ones."""
    tag: str = source.tag
    if isinstance(source, yaml.ScalarNode) and _is_date(source):
        return DATE
    return "" if tag == _PLAIN or tag.startswith("tag:yaml.org,2002:") else tag


_DATE = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})?)?"
)


def _is_date(source: yaml.ScalarNode) -> bool:
    """Whether go-yaml makes a moment of an unquoted text, which no key of a compose file takes."""
    text: str = source.value
    if text[4:5] != "-" or source.style in ("'", '"', "|", ">") or source.tag != _PLAIN:
        return False
    return _DATE.fullmatch(text) is not None


def _scalar(source: yaml.ScalarNode) -> ScalarValue:
    text: str = source.value
    match source.tag:
        case "tag:yaml.org,2002:str":
            return text
        case "tag:yaml.org,2002:binary":
            try:
                return binascii.a2b_base64(text).decode(errors="replace")
            except binascii.Error:
                return text
        case "tag:yaml.org,2002:null":
            return None
        case _:
            return text if source.style in ("'", '"', "|", ">") else plain_scalar(text)


_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_SPECIAL_FLOATS = {
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INTEGER = re.compile(
    r"[-+]?(?:(?P<hex>0[xX][0-9a-fA-F]+)|(?P<bin>0[bB][01]+)|0[oO](?P<oct>[0-7]+)"
    r"|0(?P<old>[0-7]+)|(?P<dec>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS = 100  # longer ones are beyond 64 bits in every base
_BASES = {"hex": 16, "bin": 2, "oct": 8, "old": 8, "dec": 10}


def plain_scalar(text: str) -> ScalarValue:
    """Type an unquoted scalar by go-yaml v3's rules, dates as text."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text in _SPECIAL_FLOATS:
        return _SPECIAL_FLOATS[text]
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    digits = text.replace("_", "") if text[0] != "." else text
    whole = _INTEGER.fullmatch(digits)
    if whole and whole.lastgroup and len(digits) <= _MAX_DIGITS:
        number = int(whole[whole.lastgroup], _BASES[whole.lastgroup])
        number = -number if digits[0] == "-" else number
        if -(2**63) <= number < 2**64:
            return number
    if _FLOAT.fullmatch(digits):
        real = float(digits)
        return text if math.isinf(real) else real
    return text


def _syntax_error(error: yaml.YAMLError, file: str) -> ComposeError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    if context and context not in problem:
        problem = f"{problem} ({context})"
    if mark is None:
        return ComposeError(f"{file}: not valid YAML: {problem}")
    place = f"{file}:{mark.line + 1}:{mark.column + 1}"
    return ComposeError(f"{place}: not valid YAML: {problem}")

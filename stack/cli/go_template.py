"""Go's text/template for ``--format``: read once, then carried out for each row.

The actions that listings need are here: values, functions, pipelines, variables, ``if``, ``with``
and ``range``.  Whatever else the language has is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stack.cli.go_template_functions import FUNCTIONS, Function, TemplateError, is_true, shown


@dataclass(frozen=True)
class Literal:
    """A text, number, boolean or nil."""

    value: object


@dataclass(frozen=True)
class Path:
    """Members of the current value, of a variable, or of what a pipeline in parentheses gives.

    Attributes:
        names: the members, outermost first; none for the value itself.
        start: "." for the current value, "$name" for a variable, or a pipeline.
    """

    names: tuple[str, ...]
    start: str | Pipeline = "."


@dataclass(frozen=True)
class Call:
    """A function by its name."""

    name: str


Operand = Literal | Path | Call


@dataclass(frozen=True)
class Pipeline:
    """Commands of which each gives its value to the next as the last argument.

    Attributes:
        commands: an operand and its arguments each.
        variables: names that get the value; two in a ``range``: its index and its item.
    """

    commands: tuple[tuple[Operand, ...], ...]
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """``if``, ``with`` or ``range``; `otherwise` is what follows ``else``."""

    keyword: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Node = str | Pipeline | Block

_ACTION = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_COMMENT = re.compile(r"/\*.*\*/", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
      | (?P<number>[-+]?\d+(?:\.\d+)?)
      | (?P<path>(?:\$\w*)?(?:\.[A-Za-z_]\w*)+|\$\w*|\.(?!\w))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>:=|=|\||\(|\)(?:\.[A-Za-z_]\w*)*|,)
    )""",
    re.VERBOSE,
)
_KEYWORDS = frozenset(("if", "with", "range"))
_CONSTANTS = {"true": True, "false": False, "nil": None}
_ABSENT = frozenset(("define", "template", "block", "break", "continue"))


@dataclass
class Template:
    """A template that is understood; `run` fills it in."""

    nodes: tuple[Node, ...]

    @classmethod
    def read(cls, text: str) -> Template:
        """Understand a template.

        Raises:
            TemplateError: what is wrong, or not supported here.
        """
        return cls(_Reader(_pieces(text)).read())

    def run(self, row: Mapping[str, object], functions: Mapping[str, Function] = FUNCTIONS) -> str:
        """Return the template filled in with the members of a row.

        Raises:
            TemplateError: a member that is not there, or a value that does not fit its function.
        """
        return "".join(_Run(functions, row).nodes(self.nodes, row))


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Parts of a template and whether each is an action; white space is cut where it says so."""
    end, cut = 0, False
    for found in _ACTION.finditer(text):
        before = text[end : found.start()]
        before = before.lstrip() if cut else before
        yield before.rstrip() if found[1] else before, False
        inside = found[2].strip()
        if not _COMMENT.fullmatch(inside):
            yield inside, True
        end, cut = found.end(), bool(found[3])
    rest = text[end:]
    if "{{" in rest:
        raise TemplateError("unclosed action")
    yield rest.lstrip() if cut else rest, False


class _Reader:
    """Builds nodes; a block ends where its ``end`` stands."""

    def __init__(self, pieces: Iterator[tuple[str, bool]]) -> None:
        self._pieces = pieces

    def read(self) -> tuple[Node, ...]:
        nodes, end = self._until_end()
        if end:
            raise TemplateError(f"unexpected {{{{{end}}}}}")
        return nodes

    def _until_end(self) -> tuple[tuple[Node, ...], str]:
        """The nodes before the next end or else of this level, and that action."""
        nodes: list[Node] = []
        for text, is_action in self._pieces:
            if not is_action:
                nodes.append(text)
                continue
            word = text.split(maxsplit=1)[0] if text else ""
            if word in {"end", "else"}:
                return tuple(nodes), text
            if word in _ABSENT:
                raise TemplateError(f"{{{{{word}}}}} is not supported")
            if word in _KEYWORDS:
                nodes.append(self._block(word, text.removeprefix(word)))
            else:
                nodes.append(_PipelineReader(text).read())
        return tuple(nodes), ""

    def _block(self, keyword: str, text: str) -> Block:
        pipeline = _PipelineReader(text).read()
        body, end = self._until_end()
        otherwise: tuple[Node, ...] = ()
        words = end.split(maxsplit=2)
        if words[:1] == ["else"]:
            if len(words) == 1:
                otherwise, end = self._until_end()
            elif words[1] in {"if", "with"} and len(words) > 2:
                return Block(keyword, pipeline, body, (self._block(words[1], words[2]),))
        if end != "end":
            raise TemplateError(f"{{{{{keyword}}}}} has no {{{{end}}}}")
        return Block(keyword, pipeline, body, otherwise)


class _PipelineReader:
    """Reads what stands in an action."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def read(self) -> Pipeline:
        pipeline = self._pipeline()
        if self._at < len(self._tokens):
            raise TemplateError(f"unexpected {self._tokens[self._at][1]!r} in an action")
        return pipeline

    def _pipeline(self) -> Pipeline:
        variables = self._variables()
        commands = [self._command()]
        while self._next_is("|"):
            commands.append(self._command())
        return Pipeline(tuple(commands), variables)

    def _variables(self) -> tuple[str, ...]:
        names, at = [], self._at
        while at + 1 < len(self._tokens):
            (kind, name), (_, sign) = self._tokens[at : at + 2]
            if kind != "path" or not re.fullmatch(r"\$\w+", name):
                return ()
            names.append(name)
            at += 2
            if sign in {":=", "="}:
                self._at = at
                return tuple(names)
            if sign != ",":
                return ()
        return ()

    def _command(self) -> tuple[Operand, ...]:
        operands = []
        while self._at < len(self._tokens) and self._tokens[self._at][1][0] not in "|)":
            operands.append(self._operand())
        if not operands:
            raise TemplateError("missing value for command")
        return tuple(operands)

    def _operand(self) -> Operand:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return Literal(_unquoted(text))
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if kind == "path":
            start, *names = text.split(".")
            return Path(tuple(filter(None, names)), start or ".")
        if kind == "word":
            return Literal(_CONSTANTS[text]) if text in _CONSTANTS else Call(text)
        if text == "(":
            inner = self._pipeline()
            if self._at == len(self._tokens):
                raise TemplateError("unclosed left parenthesis")
            _, *names = self._tokens[self._at][1].split(".")
            self._at += 1
            return Path(tuple(names), inner)
        raise TemplateError(f"unexpected {text!r} in an action")

    def _next_is(self, sign: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at][1] == sign
        self._at += found
        return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise TemplateError(f"unexpected {text[at:].strip()!r} in an action")
        at = found.end()
        kind = str(found.lastgroup)
        yield kind, found[kind]


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "'": "'"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)")


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]

    def one(found: re.Match[str]) -> str:
        said = found[1]
        if said in _ESCAPES:
            return _ESCAPES[said]
        if said[0] in "xuU":
            return chr(int(said[1:], 16))
        if said[0] in "01234567":
            return chr(int(said, 8))
        raise TemplateError(f"unknown escape \\{said} in {text}")

    return _ESCAPE.sub(one, text[1:-1])


@dataclass
class _Run:
    """One carrying out of a template, with its variables."""

    functions: Mapping[str, Function]
    row: Mapping[str, object]
    variables: dict[str, object] = field(default_factory=dict)

    def nodes(self, nodes: tuple[Node, ...], dot: object) -> Iterator[str]:
        for node in nodes:
            match node:
                case str():
                    yield node
                case Pipeline():
                    value = self._value(node, dot)
                    if node.variables:
                        self.variables[node.variables[0]] = value
                    else:
                        yield shown(value)
                case Block(keyword="range"):
                    yield from self._range(node, dot)
                case Block():
                    yield from self._choice(node, dot)

    def _choice(self, block: Block, dot: object) -> Iterator[str]:
        value = self._value(block.pipeline, dot)
        if block.pipeline.variables:
            self.variables[block.pipeline.variables[0]] = value
        inner = value if block.keyword == "with" else dot
        if is_true(value):
            yield from self.nodes(block.body, inner)
        else:
            yield from self.nodes(block.otherwise, dot)

    def _range(self, block: Block, dot: object) -> Iterator[str]:
        many = self._value(block.pipeline, dot)
        items: list[tuple[object, object]] = []
        if isinstance(many, Mapping):
            items = [(key, many[key]) for key in sorted(many)]
        elif isinstance(many, list | tuple):
            items = list(enumerate(many))
        elif many is not None:
            raise TemplateError(f"range can't iterate over {shown(many)!r}")
        if not items:
            yield from self.nodes(block.otherwise, dot)
        for item in items:
            names = block.pipeline.variables
            self.variables.update(zip(names, item[-len(names) :] if names else (), strict=True))
            yield from self.nodes(block.body, item[1])

    def _value(self, pipeline: Pipeline, dot: object) -> object:
        value: object = None
        for number, command in enumerate(pipeline.commands):
            value = self._command(command, dot, (value,) if number else ())
        return value

    def _command(
        self, command: tuple[Operand, ...], dot: object, last: tuple[object, ...]
    ) -> object:
        first, *rest = command
        arguments = (*(self._operand(one, dot) for one in rest), *last)
        if isinstance(first, Call):
            return self._call(first.name, arguments)
        value = self._operand(first, dot)
        if callable(value):
            try:
                return value(*arguments)
            except TypeError:
                raise TemplateError(f"wrong arguments for {_name(first)}") from None
        if arguments:
            raise TemplateError(f"can't give argument to non-function {_name(first)}")
        return value

    def _operand(self, operand: Operand, dot: object) -> object:
        match operand:
            case Literal(value=value):
                return value
            case Call(name=name):
                return self._call(name, ())
            case Path(names=names, start=Pipeline() as pipeline):
                return self._members(self._value(pipeline, dot), names)
            case Path(names=names, start="."):
                return self._members(dot, names)
            case Path(names=names, start="$"):
                return self._members(self.row, names)
            case Path(names=names, start=variable):
                if variable not in self.variables:
                    raise TemplateError(f"undefined variable {variable!r}")
                return self._members(self.variables[variable], names)

    def _members(self, value: object, names: tuple[str, ...]) -> object:
        for name in names:
            if not isinstance(value, Mapping):
                raise TemplateError(f"can't evaluate field {name} in {shown(value)!r}")
            if value is self.row and name not in value:
                there = ", ".join(value)
                raise TemplateError(f"can't evaluate field {name}: there are {there}")
            value = value.get(name)
        return value

    def _call(self, name: str, arguments: tuple[object, ...]) -> object:
        function = self.functions.get(name)
        if function is None:
            raise TemplateError(f"function {name!r} is not supported")
        try:
            return function(*arguments)
        except (TypeError, IndexError, KeyError, ValueError) as error:
            raise TemplateError(f"error calling {name}: {error}") from None


def _name(operand: Operand) -> str:
    match operand:
        case Literal(value=value):
            return shown(value)
        case Call(name=name):
            return name
        case Path(names=names):
            return "." + ".".join(names)

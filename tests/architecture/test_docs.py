"""The documents tell the truth: printed blocks, links and commands are checked against the code.

``pytest tests/architecture --rewrite`` prints the blocks anew; read the difference.
"""

from __future__ import annotations

import re
import shlex
import textwrap
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from cluster.api.payloads.member_versions import SINCE
from cluster.api.routes import (
    audit,
    containers,
    copies,
    diagnosis,
    networks,
    nodes,
    secrets_configs,
    services,
    stacks,
    swarm,
    system,
    tasks,
    tokens,
)
from cluster.model.extensions import Extensions
from cluster.model.task_state import DESIRED_ORDER, TRANSITIONS, TaskState, Writer
from stack.check.rules import RULES
from stack.cli.commands import cli
from stack.compose.keys import ROOT as COMPOSE_KEYS
from stack.compose.keys import Key, Status
from stack.deploy.events import AnyEvent
from stack.deploy.standing import Standing
from tests.compat.api_coverage import FIELDS, OPERATIONS, OWN_OPERATIONS
from tests.compat.compose_differences import DIFFERENCES as COMPOSE_DIFFERENCES
from tests.compat.error_differences import DIFFERENCES as ERROR_DIFFERENCES
from tests.compat.stack_differences import DIFFERENCES
from tests.compat.trace_differences import DIFFERENCES as TRACE_DIFFERENCES

ROOT = Path(__file__).parents[2]

LETTERS = {
    Writer.ORCHESTRATOR: "o",
    Writer.ALLOCATOR: "l",
    Writer.SCHEDULER: "s",
    Writer.AGENT: "a",
    Writer.DISPATCHER: "d",
}


def task_states_block() -> str:
    """Return the table of the task state machine as text: rows are left, columns entered."""
    by_pair: dict[tuple[TaskState, TaskState], str] = {}
    for writer in Writer:
        for pair in TRANSITIONS[writer]:
            by_pair[pair] = by_pair.get(pair, "") + LETTERS[writer]
    entered = [state for state in TaskState if any(new is state for _, new in by_pair)]
    left = [state for state in TaskState if any(old is state for old, _ in by_pair)]
    width = max(len(state.name) for state in left)
    lines = [" " * width + "  " + "  ".join(state.name for state in entered)]
    for old in left:
        cells = (by_pair.get((old, new), ".").ljust(len(new.name)) for new in entered)
        lines.append((old.name.ljust(width) + "  " + "  ".join(cells)).rstrip())
    lines.append("")
    lines.append(", ".join(f"{LETTERS[writer]} = {writer.value}" for writer in Writer))
    lines.append("desired: " + " -> ".join(state.name for state in DESIRED_ORDER))
    return "\n".join(lines)


def import_layers_block() -> str:
    """Return the layer contracts of pyproject.toml as text, the importing layer on top."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layered = [c for c in contracts["contracts"] if c["type"] == "layers"]
    parts = []
    for contract in sorted(layered, key=lambda c: c["containers"], reverse=True):
        layers = (re.split(r" *\| *", layer) for layer in contract["layers"])
        lines = ("    " + "   ".join(names) for names in layers)
        parts.append("\n".join((contract["containers"][0], *lines)))
    return "\n\n".join(parts)


def extension_schema_block() -> str:
    """Return the structures of the extension label as text: each member with its type."""
    definitions = msgspec.json.schema(Extensions)["$defs"]
    parts = []
    for name, schema in definitions.items():
        lines = [name]
        for member, about in schema["properties"].items():
            needed = ", required" if member in schema["required"] else ""
            line = f"    {member:<20}{_json_type(about)}{needed}"
            lines += textwrap.wrap(line, 100, subsequent_indent=" " * 24)
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def deploy_events_block() -> str:
    """Return the events of a deployment as text: each with its members and their types."""
    return "\n\n".join(
        _members_block(str(kind.__struct_config__.tag), kind, left_out=("event",))
        for kind in typing.get_args(AnyEvent)
    )


def _members_block(name: str, kind: type[msgspec.Struct], *, left_out: tuple[str, ...]) -> str:
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]
    head = f"{name}: {' '.join((kind.__doc__ or '').split())}"
    lines = textwrap.wrap(head, 100)
    for member, about in schema["properties"].items():
        if member not in left_out:
            line = f"    {member:<12}{_json_type(about)}"
            lines += textwrap.wrap(line, 100, subsequent_indent=" " * 16)
    return "\n".join(lines)


def stack_standing_block() -> str:
    """Return how a deployment stands as text: each part with its members and their types."""
    return "\n\n".join(
        _members_block(name, typing.get_args(kind)[0], left_out=())
        for name, kind in typing.get_type_hints(Standing).items()
    )


def check_rules_block() -> str:
    """Return the rules of ``stack check`` as text."""
    parts = []
    for rule in RULES:
        lines = [f"{rule.id} ({rule.severity.value}): {rule.title}"]
        for text in (rule.why, f"Instead: {rule.instead}."):
            lines += textwrap.wrap(
                text, 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def stack_differences_block() -> str:
    """Return where a stack's objects differ from those of Docker's client: reasons with cases."""
    return _reasons_with_cases(DIFFERENCES)


def compose_differences_block() -> str:
    """Return where `stack config` differs from docker-compose: reasons with cases."""
    return _reasons_with_cases(COMPOSE_DIFFERENCES)


def error_differences_block() -> str:
    """Return where answers differ from those of Docker Swarm: reasons with cases."""
    return _reasons_with_cases(ERROR_DIFFERENCES)


def trace_differences_block() -> str:
    """Return which commands end otherwise than with Docker Swarm: reasons with cases."""
    return _reasons_with_cases(TRACE_DIFFERENCES)


def service_fields_block() -> str:
    """Return what of a service's spec is carried out, with the test that shows it."""
    lines = []
    for member, row in FIELDS.items():
        lines.append(f"{row.answer:<7} {member}{': ' if row.missing else ''}{row.missing}")
        lines.append(f"            {row.test.replace('::', ' ')}")
    return "\n".join(lines)


def member_versions_block() -> str:
    """Return the members of a service that older requests cannot set, by version."""
    parts = []
    for version in sorted(set(SINCE.values())):
        members = ", ".join(member for member, since in SINCE.items() if since == version)
        parts.append("\n".join((f"below {version}", *textwrap.wrap(
            members, 100, initial_indent="    ", subsequent_indent="    "
        ))))  # fmt: skip
    return "\n\n".join(parts)


def operation_tests_block() -> str:
    """Return the operations that are served by the test that shows them."""
    by_test: dict[str, list[str]] = {}
    for operation, test in (OPERATIONS | OWN_OPERATIONS).items():
        by_test.setdefault(test.replace("::", " "), []).append(operation)
    return _reasons_with_cases({o: test for test, all_of in by_test.items() for o in all_of})


def _reasons_with_cases(differences: dict[str, str]) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in differences.items():
        by_reason.setdefault(reason, []).append(name)
    parts = []
    for reason, names in by_reason.items():
        lines = textwrap.wrap(reason, 100)
        lines += textwrap.wrap(
            ", ".join(names), 100, initial_indent="    ", subsequent_indent="    ",
            break_on_hyphens=False,
        )  # fmt: skip
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _json_type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": str(path)}:
            return path.rsplit("/", 1)[-1]
        case {"enum": words}:
            return " | ".join(str(word) for word in words if word)
        case {"anyOf": [one, {"type": "null"}]}:
            return _json_type(one)
        case {"type": "array", "items": items}:
            return f"list of {_json_type(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"map of {_json_type(values)}"
        case _:
            return str(schema["type"])


def compose_keys_block() -> str:
    """Return the table of compose keys as text: each map with its keys by what is done with them."""
    return "\n\n".join(_compose_maps(COMPOSE_KEYS, ""))


def _compose_maps(key: Key, path: str) -> Iterator[str]:
    if key.children is not None:
        lines = [path or "(top)"]
        for status in Status:
            names = sorted(name for name, row in key.children.items() if row.status is status)
            if names:
                label = f"    {status.name.lower():<10}"
                lines += textwrap.wrap(
                    ", ".join(names), 100, initial_indent=label, subsequent_indent=" " * 14
                )
        yield "\n".join(lines)
        for name, row in key.children.items():
            if row.status is Status.APPLIED:
                yield from _compose_maps(row, f"{path}.{name}".lstrip("."))
    if key.each is not None:
        yield from _compose_maps(key.each, f"{path}.<name>")
    if key.items is not None:
        yield from _compose_maps(key.items, f"{path}[]")


BLOCKS = {
    "check-rules": ("docs/check-rules.md", check_rules_block),
    "compose-keys": ("docs/compatibility.md", compose_keys_block),
    "extension-schema": ("docs/design/extensions.md", extension_schema_block),
    "stack-differences": ("docs/compatibility.md", stack_differences_block),
    "service-fields": ("docs/compatibility.md", service_fields_block),
    "operation-tests": ("docs/compatibility.md", operation_tests_block),
    "member-versions": ("docs/compatibility.md", member_versions_block),
    "error-differences": ("docs/compatibility.md", error_differences_block),
    "trace-differences": ("docs/compatibility.md", trace_differences_block),
    "compose-differences": ("docs/compatibility.md", compose_differences_block),
    "deploy-events": ("docs/deploy.md", deploy_events_block),
    "stack-standing": ("docs/ci.md", stack_standing_block),
    "task-states": ("docs/design/task-model.md", task_states_block),
    "import-layers": ("docs/architecture.md", import_layers_block),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_printed_block_equals_what_the_code_prints(
    name: str, request: pytest.FixtureRequest
) -> None:
    page, print_block = BLOCKS[name]
    path = ROOT / page
    begin, end = f"<!-- printed: {name} -->\n```text\n", "\n```\n<!-- end -->"
    head, found, rest = path.read_text().partition(begin)
    assert found, f"{page}: no block {name}"
    shown, found, tail = rest.partition(end)
    assert found, f"{page}: block {name} has no end"
    printed = print_block()
    if request.config.getoption("--rewrite", default=False):
        path.write_text(head + begin + printed + end + tail)
        return
    assert shown == printed, f"{page}: run `pytest tests/architecture --rewrite`"


def test_the_compatibility_page_names_exactly_the_routes_that_are_served() -> None:
    page = (ROOT / "docs/compatibility.md").read_text()
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)` \| (yes|partly|no) \|", page, re.MULTILINE)
    named = [operation for operation, _ in rows]
    modules = (containers, copies, diagnosis, networks, nodes, secrets_configs, services, stacks)
    modules = (*modules, swarm, system, tasks, tokens, audit)
    routes = [route for module in modules for route in module.ROUTES]
    served = [f"{route.method} {route.pattern.removesuffix('/?')}" for route in routes]
    assert sorted(named) == sorted(served)


# -- links --------------------------------------------------------------------------------------


def _pages() -> list[Path]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted([*pages, *(ROOT / "compose_examples").rglob("*.md")])


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", _pages(), ids=_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    broken = [
        target
        for target in targets
        if "://" not in target
        and not target.startswith(("#", "mailto:"))
        and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert not broken, f"{_name(page)}: broken links {broken}"


@pytest.mark.parametrize("page", _pages(), ids=_name)
def test_named_paths_exist(page: Path) -> None:
    """A path in backticks below a known top folder must be there."""
    tops = "stack|cluster|docs|tests|scripts|compose_examples"
    named = re.findall(rf"`((?:{tops})/[\w./-]+)`", page.read_text())
    missing = sorted({path for path in named if not (ROOT / path).exists()})
    assert not missing, f"{_name(page)}: these paths do not exist: {missing}"


# -- commands -----------------------------------------------------------------------------------


def _shell_lines(text: str) -> Iterator[str]:
    """Yield the lines of all `sh` blocks, continued ones joined."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip():
                yield line.strip()


def _resolve(words: list[str]) -> str | None:
    """Walk down the command tree; return what is wrong with the words, or None."""
    command: click.Command = cli
    path = ["stack"]
    takes_value: dict[str, bool] = {}
    rest = iter(words)
    for word in rest:
        takes_value = {
            name: not getattr(option, "is_flag", False)
            for option in command.params
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts)
        } | {"--help": False}
        if word.startswith("-") and len(word) > 1:
            name, has_value, _ = word.partition("=")
            if name not in takes_value:
                return f"`{' '.join(path)}` has no option {name}"
            if takes_value[name] and not has_value:
                next(rest, None)
        elif isinstance(command, click.Group):
            child = command.get_command(click.Context(command), word)
            if child is None:
                return f"`{' '.join(path)}` has no command {word}"
            command = child
            path.append(word)
    return None


@pytest.mark.parametrize("page", _pages(), ids=_name)
def test_commands_in_shell_blocks_are_real(page: Path) -> None:
    wrong = []
    for line in _shell_lines(page.read_text()):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quotation that goes on in the next line
            continue
        while words and (words[0] in {"sudo", "time"} or re.match(r"^[A-Z_]+=", words[0])):
            words = words[1:]
        if not words:
            continue
        program = words[0].removeprefix(".venv/bin/")
        if program == "stack":
            problem = _resolve(words[1:])
            if problem:
                wrong.append(f"{line}: {problem}")
        elif program.startswith(("scripts/", "./scripts/")) and not (ROOT / program).exists():
            wrong.append(f"{line}: there is no such script")
    assert not wrong, f"{_name(page)}: " + "; ".join(wrong)


# -- decisions ----------------------------------------------------------------------------------


def _decisions() -> list[Path]:
    return sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", _decisions(), ids=_name)
def test_a_decision_has_number_date_status_and_the_three_parts(page: Path) -> None:
    text = page.read_text()
    number = int(page.name[:4])
    assert text.startswith(f"# {number}. "), "the title begins with the number"
    assert re.search(r"^Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert re.search(r"^Status: (accepted|planned|superseded by \d{4})$", text, re.MULTILINE)
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert parts[:3] == ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [int(page.name[:4]) for page in _decisions()]
    assert numbers == list(range(1, len(numbers) + 1))

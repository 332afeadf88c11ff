"""What ``stack config`` prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from stack.cli.project import ProjectChoice, load_project, report
from stack.compose.record import Record
from stack.errors import UsageError

if TYPE_CHECKING:  # imported when it is used
    from stack.compose.resolve import Resolved

LISTS = ("services", "volumes", "networks", "images", "profiles")


class Shown(Record):
    """What of a project is to be shown, and how."""

    project: ProjectChoice
    stack: str = ""
    form: str = "yaml"  # or "json"
    lists: str | None = None  # one of LISTS, or "objects"
    hashed: str | None = None  # names of services joined by commas, "*" for all
    no_interpolate: bool = False
    output: str | None = None  # a file
    quiet: bool = False


def show(wanted: Shown) -> None:
    """Print a project to standard output or to a file, and warnings to standard error.

    Raises:
        StackError: the project is wrong, or the file cannot be written.
    """
    text = _objects(wanted) if wanted.lists == "objects" else _project(wanted)
    if wanted.quiet:
        return
    if text and not text.endswith("\n"):
        text += "\n"
    if wanted.output:
        _write(wanted.output, text or "\n")
    else:
        sys.stdout.write(text)
        sys.stdout.flush()


def _project(wanted: Shown) -> str:
    from stack.compose.resolve import Options, resolve

    project = wanted.project
    options = Options(
        wanted.stack,
        project.profiles,
        interpolates=not wanted.no_interpolate,
        reads_env_files=wanted.lists is None,
    )
    if project.strict:
        _check_strictly(wanted)
    resolved = resolve(project.source(), options)
    if not project.strict:
        report(resolved.notices, strict=False)
    return _text(resolved, wanted)


def _check_strictly(wanted: Shown) -> None:
    """Refuse a project of which a deployment would leave out something."""
    from stack.compose.loader import load
    from stack.translate.stack_spec import stack_spec

    project = wanted.project
    loaded = load(project.source(), wanted.stack, project.profiles)
    report([*loaded.notices, *stack_spec(loaded.compose).notes], strict=True)


def _text(resolved: Resolved, wanted: Shown) -> str:
    from stack.compose.render import escaped, render

    lists, hashed = wanted.lists, wanted.hashed
    if lists == "profiles":
        return "\n".join(resolved.all_profiles)
    if wanted.no_interpolate:
        from stack.compose.tree import to_plain

        shown: Any = to_plain(resolved.root)
    else:
        shown = render(resolved.root, extensions=wanted.form == "yaml")
    if lists == "images":
        services = shown["services"].items()
        default = f"{resolved.name}-"
        return "\n".join(service.get("image") or f"{default}{name}" for name, service in services)
    if lists:
        return "\n".join(shown.get(lists) or ())
    if hashed is not None:
        return _hashes(shown, hashed)
    return _printed(shown if wanted.no_interpolate else escaped(shown), wanted.form)


def _hashes(shown: Any, names: str) -> str:
    from stack.compose.render import service_hashes

    hashes = service_hashes(shown)
    asked = list(hashes) if names == "*" else names.split(",")
    for name in asked:
        if name not in hashes:
            raise UsageError(f"--hash: there is no service {name!r}")
    return "\n".join(f"{name} {hashes[name]}" for name in asked)


def _objects(wanted: Shown) -> str:
    from stack.translate.stack_spec import stack_spec

    found = stack_spec(load_project(wanted.project, wanted.stack))
    report(found.notes, strict=wanted.project.strict)
    return _printed(
        {
            "name": found.name,
            "networks": list(found.networks),
            "external_networks": list(found.external_networks),
            "services": list(found.services),
        },
        wanted.form,
    )


def _printed(value: Any, form: str) -> str:
    if form == "json":
        import json

        return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    from stack.compose.yaml_writer import write_yaml

    return write_yaml(value)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 (pathlib is slow to import)
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None

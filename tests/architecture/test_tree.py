"""The source tree keeps its shape: what import-linter cannot say about packages and files."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("stack", "cluster")
MAX_LINES = 500
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "base", "manager"}


def _packages() -> list[Path]:
    """Return every folder of the two root packages that holds Python modules."""
    found = {path.parent for name in SOURCES for path in (ROOT / name).rglob("*.py")}
    return sorted(found)


def _modules() -> list[Path]:
    return sorted(path for name in SOURCES for path in (ROOT / name).rglob("*.py"))


def _test_modules() -> list[Path]:
    return sorted((ROOT / "tests").rglob("*.py"))


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", _packages(), ids=_relative)
def test_a_package_has_an_init_that_holds_only_a_docstring(package: Path) -> None:
    init = package / "__init__.py"
    assert init.exists(), f"{_relative(package)}: __init__.py is missing"
    tree = ast.parse(init.read_text())
    assert ast.get_docstring(tree), f"{_relative(init)}: say in one sentence what the package is"
    assert len(tree.body) == 1, f"{_relative(init)}: code and re-exports belong in a module"


@pytest.mark.parametrize("package", _packages(), ids=_relative)
def test_the_architecture_page_names_every_package(package: Path) -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    assert f"`{_relative(package)}/`" in page, (
        f"docs/architecture.md does not name `{_relative(package)}/`: add a row to the map"
    )


def test_the_architecture_page_names_no_package_that_is_missing() -> None:
    rows = [
        line.split("`")[1]
        for line in (ROOT / "docs/architecture.md").read_text().splitlines()
        if line.startswith(("| `stack/", "| `cluster/"))
    ]
    assert rows, "docs/architecture.md has no rows of packages"
    missing = [name for name in rows if not (ROOT / name / "__init__.py").exists()]
    assert not missing, f"docs/architecture.md names packages that do not exist: {missing}"


def test_the_architecture_page_marks_as_pure_exactly_what_the_contract_checks() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    marked = set(re.findall(r"^\| `([\w/]+)/` \| P \|", page, re.MULTILINE))
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    pure = next(c for c in configuration["contracts"] if c["name"].startswith("pure packages"))
    checked = {module.replace(".", "/") for module in pure["source_modules"]}
    assert marked == {path for path in checked if (ROOT / path).is_dir()}


@pytest.mark.parametrize("module", [*_modules(), *_test_modules()], ids=_relative)
def test_a_source_file_is_one_subject_of_readable_length(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= MAX_LINES, (
        f"{_relative(module)}: {lines} lines, the limit is {MAX_LINES}: split it by subject"
    )


@pytest.mark.parametrize("module", _modules(), ids=_relative)
def test_a_module_says_what_it_is(module: Path) -> None:
    assert ast.get_docstring(ast.parse(module.read_text())), (
        f"{_relative(module)}: begin with one sentence that says what the module is"
    )


def test_no_module_is_named_after_nothing() -> None:
    bad = [_relative(path) for path in _modules() if path.stem in FORBIDDEN_NAMES]
    assert not bad, f"name these after what they hold: {bad}"

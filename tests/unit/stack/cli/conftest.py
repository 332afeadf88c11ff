"""A project folder, an Engine API beside it, and the command that works with both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.stack.cli.command_line import FILE, WITH_FILES, Cli
from tests.unit.stack.engine_server import EngineServer, serving


@pytest.fixture
def cli(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cli]:
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    Path("docker-compose.yml").write_text(FILE)
    engine = EngineServer()
    with serving(engine, tmp_path) as host:
        yield Cli(engine, host, capsys)


@pytest.fixture
def with_files(cli: Cli) -> Cli:
    Path("docker-compose.yml").write_text(WITH_FILES)
    Path("pass.txt").write_text("hush")
    cli("secret", "create", "given", "pass.txt", "-l", "k=v")
    return cli

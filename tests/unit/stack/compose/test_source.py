"""What is read from the disk: compose files, .env, the shell."""

from pathlib import Path

import pytest

from stack.compose.source import read_source
from stack.errors import ComposeError


def test_the_folder_is_the_first_file_s_and_its_env_file_is_below_the_shell(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}")
    (tmp_path / ".env").write_text("A=file\nB=file-$SHELL_VAR\n")
    source = read_source((str(tmp_path / "compose.yaml"),), {"A": "shell", "SHELL_VAR": "s"})
    assert source.folder == str(tmp_path)
    assert source.environment == {"A": "shell", "B": "file-s", "SHELL_VAR": "s"}
    assert source.files[0].content == b"services: {}"


def test_the_env_file_can_be_switched_off(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("")
    (tmp_path / ".env").write_text("A=file\n")
    shell = {"COMPOSE_DISABLE_ENV_FILE": "1"}
    assert read_source((str(tmp_path / "c.yml"),), shell).environment == shell


def test_the_default_file_comes_with_its_override(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ComposeError, match="no compose file named and none found in"):
        read_source((), {})
    (tmp_path / "docker-compose.yml").write_text("a")
    (tmp_path / "docker-compose.override.yml").write_text("b")
    names = [file.name for file in read_source((), {}).files]
    assert names == ["docker-compose.yml", "docker-compose.override.yml"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ComposeError, match=r"nope\.yml: cannot read the compose file: No such file"
    ):
        read_source((str(tmp_path / "nope.yml"),), {})

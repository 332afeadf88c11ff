"""What is read from the disk: compose files, .env, the shell."""

from pathlib import Path

import pytest

from stack.compose.source import Source, read_source
from stack.errors import ComposeError


def given(source: Source) -> dict[str, str]:
    """Its variables, without the folder of the shell, which is always there."""
    return {name: value for name, value in source.environment.items() if name != "PWD"}


def test_the_folder_is_the_first_file_s_and_its_env_file_is_below_the_shell(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}")
    (tmp_path / ".env").write_text("A=file\nB=file-$SHELL_VAR\n")
    source = read_source((str(tmp_path / "compose.yaml"),), {"A": "shell", "SHELL_VAR": "s"})
    assert source.folder == str(tmp_path)
    assert given(source) == {"A": "shell", "B": "file-s", "SHELL_VAR": "s"}
    assert source.files[0].content == b"services: {}"


def test_the_env_file_can_be_switched_off(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("")
    (tmp_path / ".env").write_text("A=file\n")
    shell = {"COMPOSE_DISABLE_ENV_FILE": "1"}
    assert given(read_source((str(tmp_path / "c.yml"),), shell)) == shell


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


def test_env_files_take_the_place_of_the_default_one_and_later_ones_win(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("")
    (tmp_path / ".env").write_text("A=default\nZ=1\n")
    (tmp_path / "one.env").write_text("A=one\nB=one\n")
    (tmp_path / "two.env").write_text("B=$A-two\n")
    files = (str(tmp_path / "one.env"), str(tmp_path / "two.env"))
    found = read_source((str(tmp_path / "c.yml"),), {}, files)
    assert given(found) == {"A": "one", "B": "one-two"}
    listed = {"COMPOSE_ENV_FILES": ",".join(files)}
    assert read_source((str(tmp_path / "c.yml"),), listed).environment["B"] == "one-two"
    with pytest.raises(ComposeError, match=r"nope\.env: there is no such file"):
        read_source((str(tmp_path / "c.yml"),), {}, ("nope.env",))


@pytest.mark.parametrize("in_env_file", [True, False])
def test_files_may_be_named_by_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_env_file: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yml", "b.yml", "compose.yaml"):
        Path(name).write_text(name)
    settings = {"COMPOSE_FILE": "a.yml;b.yml", "COMPOSE_PATH_SEPARATOR": ";"}
    if in_env_file:
        lines = (f"{name}='{value}'\n" for name, value in settings.items())
        Path(".env").write_text("".join(lines))
    found = read_source((), {} if in_env_file else settings)
    assert [file.name for file in found.files] == ["a.yml", "b.yml"]


def test_the_default_file_is_looked_for_in_the_folders_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "compose.yml").write_text("x")
    monkeypatch.chdir(tmp_path / "sub")
    found = read_source((), {})
    assert found.folder == str(tmp_path)
    assert found.files[0].name == str(tmp_path / "compose.yml")


def test_the_folder_may_be_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "compose.yml").write_text(folder)
        (tmp_path / folder / ".env").write_text(f"A={folder}\n")
    monkeypatch.chdir(tmp_path)
    found = read_source(("here/compose.yml",), {}, directory="there")
    assert (found.folder, given(found)) == (f"{tmp_path}/there", {"A": "there"})
    assert [file.content for file in found.files] == [b"here"]
    found = read_source((), {}, directory="there")
    assert [file.content for file in found.files] == [b"there"]
    (tmp_path / "x.env").write_text("A=x\n")  # by the folder of the shell
    assert given(read_source((), {}, ("x.env",), directory="there")) == {"A": "x"}

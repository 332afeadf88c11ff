"""``stack import`` against an Engine API on a real socket."""

from pathlib import Path

import pytest
import yaml

from tests.unit.stack.cli.command_line import DEPLOY, Cli


def test_a_stack_is_written_and_deployed_again_without_a_change(with_files: Cli) -> None:
    with_files(*DEPLOY, "--resolve-image", "never")
    out = with_files("import", "shop", "-o", "out")
    assert out.splitlines() == [
        "out/docker-compose.yml",
        "out/configs/shop_conf",
        "secrets to create before it is deployed elsewhere: given, shop_pass",
    ]
    written = yaml.safe_load(Path("out/docker-compose.yml").read_text())
    assert written["secrets"]["pass"] == {"external": True, "name": "shop_pass"}
    assert Path("out/configs/shop_conf").read_text() == "text"
    again = (*DEPLOY, "--resolve-image", "never", "-c", "out/docker-compose.yml")
    assert "Service shop_web is unchanged" in with_files(*again)
    assert with_files.engine.requests == []


@pytest.mark.parametrize("stack", ["shop", "nosuch"])
def test_a_folder_with_files_and_a_missing_stack_are_refused(with_files: Cli, stack: str) -> None:
    with_files(*DEPLOY)
    Path("out").mkdir()
    Path("out/mine").write_text("")
    with_files("import", stack, "-o", "out", code=2 if stack == "shop" else 1)
    assert ("out: is not empty" in with_files.err) is (stack == "shop")
    assert [one.name for one in Path("out").iterdir()] == ["mine"]

"""The command `stack` as tests run it: whole, against an Engine API on a real socket."""

import pytest

from stack.cli.main import run
from tests.unit.stack.engine_server import EngineServer

FILE = """
services:
  web: {image: i, deploy: {replicas: 2}, networks: [front]}
  db: {image: i, stop_grace_period: 1s}
networks: {front: }
"""

DEPLOY = ("deploy", "--stable", "0")

WITH_FILES = """
services:
  web: {image: i, secrets: [pass, {source: outer, target: /etc/outer, uid: "7", mode: 0400}], configs: [conf]}
secrets: {pass: {file: pass.txt}, outer: {external: true, name: given}}
configs: {conf: {content: text}}
"""


class Cli:
    def __init__(self, engine: EngineServer, host: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.engine, self._host, self._capsys = engine, host, capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run a command that must end with `code`; gives stdout."""
        self._capsys.readouterr()
        self.engine.requests.clear()
        self.engine.bodies.clear()
        found = run(["-H", self._host, *arguments])
        self.out, self.err = self._capsys.readouterr()
        assert found == code, self.err
        return self.out

"""The bench of the control plane is more than a file: it starts its cluster and measures."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.lab_host import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("what", "options"),
    [("create", ("--sizes", "2", "--rounds", "1")), ("nodes", ("--nodes", "3"))],
)
def test_a_cluster_without_engines_is_measured(
    tmp_path: Path, what: str, options: tuple[str, ...]
) -> None:
    figures = tmp_path / "figures.json"
    command = [ROOT / "scripts/bench/control_plane", "--only", what, *options, "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert figures.exists(), done.stderr[-3000:]
    assert json.loads(figures.read_text())

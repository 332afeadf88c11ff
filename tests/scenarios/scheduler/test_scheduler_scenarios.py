from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.scheduler.scheduler_script import SchedulerScript
from tests.support.datadriven import run_file

FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    run_file(path, SchedulerScript().handle, rewrite=rewrite)

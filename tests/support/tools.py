"""Programs of others that tests use, as `scripts/fetch-test-tools` fetches them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.lab_host import ROOT


def tool(name: str) -> Path:
    """The folder of a tool; the test is skipped where it cannot be had."""
    folder = ROOT / ".lab/tools" / name
    if not folder.exists():
        fetch = [str(ROOT / "scripts/fetch-test-tools"), name]
        done = subprocess.run(fetch, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{name} cannot be fetched here: {done.stderr.strip()}")
    return folder

from __future__ import annotations

from typing import Any

import pytest

from stack.errors import ComposeError
from stack.translate.tmpfs import shared_memory, tmpfs_mount


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("/run", {}),
        ("/run:", {}),
        ("/run:rw", {}),
        ("/run:size=64m", {"TmpfsOptions": {"SizeBytes": 64 << 20}}),
        ("/run:mode=1770,ro", {"ReadOnly": True, "TmpfsOptions": {"Mode": 0o1770}}),
        (
            "/run:noexec,uid=1000,size=1g",
            {"TmpfsOptions": {"SizeBytes": 1 << 30, "Options": [["noexec"], ["uid", "1000"]]}},
        ),
    ],
)
def test_short_spellings(text: str, settings: dict[str, Any]) -> None:
    assert tmpfs_mount("web", text) == {"Type": "tmpfs", "Target": "/run", **settings}


def test_shared_memory_is_a_tmpfs() -> None:
    assert shared_memory(1 << 20) == {
        "Type": "tmpfs",
        "Target": "/dev/shm",
        "TmpfsOptions": {"SizeBytes": 1 << 20},
    }


@pytest.mark.parametrize("option", ["size=many", "mode=rwx", "mode=999"])
def test_what_is_no_number_is_refused(option: str) -> None:
    with pytest.raises(ComposeError, match=r"services\.web\.tmpfs: '/run:"):
        tmpfs_mount("web", f"/run:{option}")

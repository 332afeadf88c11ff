from __future__ import annotations

import pytest

from stack.translate.capabilities import effective


@pytest.mark.parametrize(
    ("add", "drop", "added", "dropped"),
    [
        ((), (), [], []),
        (("net_admin", "CAP_SYS_TIME", "sys_time"), (), ["CAP_NET_ADMIN", "CAP_SYS_TIME"], []),
        ((), ("MKNOD", " chown "), [], ["CAP_CHOWN", "CAP_MKNOD"]),
        (("all", "chown"), ("ALL",), ["ALL"], []),
        (("chown",), ("ALL", "mknod"), ["CAP_CHOWN"], ["ALL"]),
        (("chown", "mknod"), ("chown", "kill"), ["CAP_CHOWN", "CAP_MKNOD"], ["CAP_KILL"]),
        (("RESET", ""), ("reset",), [], []),
    ],
)
def test_capabilities_are_spelled_one_way(
    add: tuple[str, ...], drop: tuple[str, ...], added: list[str], dropped: list[str]
) -> None:
    assert effective(add, drop) == (added, dropped)

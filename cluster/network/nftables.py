"""nftables through libnftables, with one context a namespace that is kept.

A context belongs to the namespace in which it was made and works from any thread afterwards. A
kept one takes 0.15 ms for a change, a new `nft` process 15 ms.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import nullcontext
from ctypes.util import find_library
from typing import Any, Final

from cluster.errors import FailedPrecondition
from cluster.network.namespaces import inside


class RulesError(Exception):
    """The kernel or the library refused a text of rules; a bug of ours or a missing kernel part."""


class Nftables:
    """A context of libnftables in the namespace that the thread is in when it is made."""

    def __init__(self, namespace: str = "") -> None:
        """Make the context.

        Args:
            namespace: a named namespace; "" is the one that the thread is in.

        Raises:
            FailedPrecondition: the library is not installed.
        """
        self._library = _load()
        self._namespace = namespace
        self._context: int | None = None
        self._open()

    def _open(self) -> None:
        with inside(self._namespace) if self._namespace else nullcontext():
            self._context = self._library.nft_ctx_new(0)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_buffer_output(self._context)

    def run(self, text: str) -> str:
        """Carry out commands in the language of `nft` as one transaction; what they print.

        Raises:
            RulesError: refused as a whole; nothing has changed.
        """
        assert self._context is not None, "closed"
        failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        if failed:
            said: bytes = self._library.nft_ctx_get_error_buffer(self._context)
            text = said.decode(errors="replace").strip()
            # A context takes what was refused for done, and would work on from that.
            self.close()
            self._open()
            raise RulesError(text)
        return output.decode(errors="replace")

    def has_table(self, family: str, name: str) -> bool:
        """Say whether a table is there; somebody may have flushed the ruleset."""
        try:
            return f"table {family} {name}" in self.run(f"list tables {family}").splitlines()
        except RulesError:
            return False

    def counters(self, family: str, table: str) -> dict[str, int]:
        """Return the packets of each named counter of a table; none where the table is missing."""
        try:
            return parse_counters(self.run(f"list counters table {family} {table}"))
        except RulesError:
            return {}

    def close(self) -> None:
        """Free the context."""
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None


def parse_counters(listing: str) -> dict[str, int]:
    """Return the packets of each counter in a listing."""
    return {name: int(packets) for name, packets in _COUNTER.findall(listing)}


_COUNTER: Final = re.compile(r"counter (\S+) \{\s*packets (\d+)")
_loaded: list[Any] = []


def _load() -> Any:
    if _loaded:
        return _loaded[0]
    try:
        library = ctypes.CDLL(find_library("nftables") or "libnftables.so.1")
    except OSError as error:
        raise FailedPrecondition(
            "libnftables.so.1 is not on this machine: install the package libnftables1"
        ) from error
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.nft_ctx_new.restype = pointer
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_buffer_error", "nft_ctx_buffer_output", "nft_ctx_free"):
        getattr(library, name).argtypes = [pointer]
    library.nft_ctx_free.restype = None
    library.nft_run_cmd_from_buffer.argtypes = [pointer, text]
    for name in ("nft_ctx_get_error_buffer", "nft_ctx_get_output_buffer"):
        getattr(library, name).argtypes = [pointer]
        getattr(library, name).restype = text
    _loaded.append(library)
    return library

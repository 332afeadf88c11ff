"""Our errors on the wire: to a gRPC status and back, once each way.

The status code serves strangers; the exact kind, and for `NotLeader` the leader's address, travel
beside it as trailing metadata.
"""

from __future__ import annotations

from typing import Final

import grpc

from cluster.errors import (
    AlreadyExists,
    ClusterError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    NotLeader,
    NotManager,
    OutOfSequence,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

KIND_KEY: Final = "stackyard-error"
LEADER_KEY: Final = "stackyard-leader"

_CODES: Final[dict[type[ClusterError], grpc.StatusCode]] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    OutOfSequence: grpc.StatusCode.ABORTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    NotManager: grpc.StatusCode.UNAVAILABLE,
    NotLeader: grpc.StatusCode.UNAVAILABLE,
}
_KINDS: Final = {kind.__name__: kind for kind in _CODES}
_BY_CODE: Final = {
    code: kind for kind, code in _CODES.items() if kind not in {NotManager, NotLeader}
}
_NO_CONNECTION: Final = "failed to connect"  # gRPC has no code of its own for it


class LeaderElsewhere(NotLeader):
    """The asked manager does not lead; `leader_addr` (host:port) does, "" if it knows none."""

    def __init__(self, message: str, leader_addr: str) -> None:
        """Remember who leads."""
        super().__init__(message)
        self.leader_addr = leader_addr


class NotConnected(Unavailable):
    """No connection came about, so the request was never sent."""


def kind_of(error: ClusterError) -> str:
    """Return the name under which an error travels."""
    return _kind(error).__name__


def code_of(error: ClusterError) -> grpc.StatusCode:
    """Return the gRPC status code of an error."""
    return _CODES[_kind(error)]


def error_of_kind(kind: str, message: str, leader_addr: str) -> ClusterError | None:
    """Make the error of that name, None if this version does not know it."""
    known = _KINDS.get(kind)
    if known is None:
        return None
    if known is NotLeader:
        return LeaderElsewhere(message, leader_addr)
    return OutOfSequence() if known is OutOfSequence else known(message)


def error_of_call(error: grpc.aio.AioRpcError, addr: str) -> ClusterError:
    """Turn what a call to the manager at `addr` failed with into one of our errors."""
    details = error.details() or error.code().name
    metadata = {str(k): str(v) for k, v in error.trailing_metadata() or ()}
    known = error_of_kind(metadata.get(KIND_KEY, ""), details, metadata.get(LEADER_KEY, ""))
    if known is not None:
        return known
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"manager {addr} did not answer in time")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        if details.startswith(_NO_CONNECTION):
            return NotConnected(f"manager {addr} cannot be reached: {details}")
        return Unavailable(f"manager {addr} cannot be reached: {details}")
    kind = _BY_CODE.get(error.code(), Unavailable)
    return OutOfSequence() if kind is OutOfSequence else kind(f"manager {addr}: {details}")


def _kind(error: ClusterError) -> type[ClusterError]:
    return next((kind for kind in type(error).__mro__ if kind in _CODES), Unavailable)

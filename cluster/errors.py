"""The error tree of the daemon, ordered by what the caller can do about it.

    ClusterError
    ├── InvalidArgument      the request is wrong: change it               (HTTP 400)
    ├── FailedPrecondition   right request, wrong moment: change the state (HTTP 400)
    ├── NotFound             the named object does not exist               (HTTP 404)
    ├── AlreadyExists        the name is taken                             (HTTP 409)
    ├── PermissionDenied     the caller may not do this                    (HTTP 403)
    ├── Unauthenticated      the caller did not prove who it is            (HTTP 401)
    ├── Unimplemented        a part that this version does not have        (HTTP 501)
    ├── OutOfSequence        the object changed meanwhile: read again      (HTTP 500)
    └── Unavailable          try again, here or elsewhere                  (HTTP 503)
        ├── NotManager       this node holds no cluster state
        └── NotLeader        another manager leads
    FatalStorageError        the disk failed: the process must stop

``api/error_response.py`` maps them to HTTP once, ``rpc/server.py`` to gRPC once.
"""

from __future__ import annotations


class ClusterError(Exception):
    """Base of every error that a caller can be told about."""


class InvalidArgument(ClusterError):
    """The request itself is wrong; the message names the field, the value and the way out."""


class FailedPrecondition(ClusterError):
    """The request is right but the cluster is not in a state to accept it."""


class NotFound(ClusterError):
    """The named object does not exist."""


class AlreadyExists(ClusterError):
    """An object of that name exists."""


class PermissionDenied(ClusterError):
    """The caller is known and may not do this."""


class Unauthenticated(ClusterError):
    """The caller did not prove who it is."""


class Unimplemented(ClusterError):
    """The request needs a part that this version does not have."""


class OutOfSequence(ClusterError):
    """The object changed since the caller read it."""

    def __init__(self) -> None:
        super().__init__("update out of sequence")


class Unavailable(ClusterError):
    """The cluster cannot answer now; the same request may succeed later or elsewhere."""


class NotManager(Unavailable):
    """This node is no manager."""


class NotLeader(Unavailable):
    """This manager is not the leader, or ceased to be while it worked."""


class FatalStorageError(Exception):
    """Writing or reading durable state failed; going on would risk acknowledged writes."""

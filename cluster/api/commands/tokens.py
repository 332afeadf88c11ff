"""What an administrator may do with deploy tokens, and how one proves itself.

The text of a token is ``stk_ID_SECRET``. The ID finds the object, of which only a digest of the
secret is kept; the secret is random enough that a plain SHA-256 cannot be searched.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NamedTuple

from msgspec.structs import replace

from cluster.errors import AlreadyExists, InvalidArgument, NotFound, Unauthenticated
from cluster.model.ids import NewId, TokenId
from cluster.model.meta import Meta
from cluster.model.token import GRANTABLE, DeployToken
from cluster.model.units import Timestamp
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

_TEXT: Final = re.compile(r"stk_([0-9a-z]{25})_([0-9a-z]{25})")
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_PATTERN: Final = re.compile(r"[a-zA-Z0-9*][a-zA-Z0-9_.*-]{0,62}")
_NOBODY: Final = hashlib.sha256(b"").hexdigest()


class Credential(NamedTuple):
    """A token just made, and its text, which is never to be seen again."""

    token_id: TokenId
    text: str

    def __repr__(self) -> str:
        """Leave the text out."""
        return f"Credential({self.token_id})"


def create_token(
    tx: Transaction,
    name: str,
    new_id: NewId,
    *,
    stacks: tuple[str, ...],
    until: Timestamp,
    allowed: tuple[str, ...],
    networks: tuple[str, ...],
) -> Credential:
    """Make a token.

    Args:
        tx: the transaction.
        name: how people call it.
        new_id: makes its ID and its secret.
        stacks: names of stacks, in which * stands for any characters.
        until: when it ends, 0 for never.
        allowed: words of `GRANTABLE`.
        networks: names of networks outside of its stacks.

    Raises:
        InvalidArgument: a wrong name, pattern, word or time.
        AlreadyExists: the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"Name: {name!r}: at most 63 of [a-zA-Z0-9_.-], a letter or digit first"
        )
    if not stacks:
        raise InvalidArgument("Stacks: name at least one stack that the token may deploy")
    for pattern in stacks:
        if not _PATTERN.fullmatch(pattern):
            raise InvalidArgument(
                f"Stacks: {pattern!r} is no name of a stack, in which * stands for any characters"
            )
    for word in allowed:
        if word not in GRANTABLE:
            raise InvalidArgument(f"Allow: {word!r} is none of {', '.join(GRANTABLE)}")
    _check_until(tx, until)
    if tx.state.tokens.find("name", name):
        raise AlreadyExists(f"deploy token {name} already exists: rotate it, or remove it first")
    token_id, secret = TokenId(new_id()), new_id()
    tx.create(
        DeployToken(
            id=token_id,
            meta=Meta(),
            name=name,
            digest=_digest(secret),
            stacks=tuple(dict.fromkeys(stacks)),
            until=until,
            allowed=tuple(dict.fromkeys(allowed)),
            networks=tuple(dict.fromkeys(networks)),
        )
    )
    return Credential(token_id, f"stk_{token_id}_{secret}")


def rotate_token(
    tx: Transaction, text: str, new_id: NewId, *, until: Timestamp | None
) -> Credential:
    """Give a token another secret; the former one is worth nothing from now on.

    Args:
        tx: the transaction.
        text: its name or ID.
        new_id: makes the secret.
        until: when it ends, 0 for never; None leaves that as it is.

    Raises:
        NotFound: there is none.
        InvalidArgument: the time is over.
    """
    token = find_token(tx.state, text)
    if until is not None:
        _check_until(tx, until)
        token = replace(token, until=until)
    elif token.until and token.until <= tx.now:
        raise InvalidArgument(
            f"deploy token {token.name} has expired: say until when it is to hold"
        )
    secret = new_id()
    tx.update(replace(token, digest=_digest(secret)))
    return Credential(token.id, f"stk_{token.id}_{secret}")


def remove_token(tx: Transaction, text: str) -> None:
    """Remove a token, which is worth nothing from now on.

    Raises:
        NotFound: there is none.
    """
    tx.delete(find_token(tx.state, text))


def find_token(state: ClusterState, text: str) -> DeployToken:
    """Return the token of that ID or name.

    Raises:
        NotFound: there is none.
    """
    token = state.tokens.get(text)
    for named in state.tokens.find("name", text):
        token = token or named
    if token is None:
        raise NotFound(f"deploy token {text} not found")
    return token


def authenticate(state: ClusterState, text: str, now: Timestamp) -> DeployToken:
    """Return the token that a text proves.

    Raises:
        Unauthenticated: it proves none, or one that has ended.
    """
    parts = _TEXT.fullmatch(text)
    if parts is None:
        raise Unauthenticated("what was sent is no deploy token: it begins with stk_")
    token = state.tokens.get(parts[1])
    expected = token.digest if token is not None else _NOBODY
    is_right = hmac.compare_digest(_digest(parts[2]), expected)
    if token is None or not is_right:
        raise Unauthenticated(
            "this deploy token is not, or no longer, known to the cluster: it was rotated or "
            "removed; `stack token create` or `stack token rotate` gives another"
        )
    if token.until and token.until <= now:
        raise Unauthenticated(
            f"deploy token {token.name} has expired: `stack token rotate {token.name} "
            "--expires TIME` gives another"
        )
    return token


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_until(tx: Transaction, until: Timestamp) -> None:
    if until and until <= tx.now:
        raise InvalidArgument("Until: the token would have ended already")

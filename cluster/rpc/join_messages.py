"""What a joining node and a manager say to each other: one question, one answer a connection.

Each is one frame: its length in 4 bytes, most significant first, and a MessagePack body.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from cluster.model.node import Availability
from cluster.model.spec_struct import ObjectStruct
from cluster.rpc.messages import CertificateResponse

_LENGTH_BYTES: Final = 4
_LARGEST_FRAME: Final = 64 * 1024


class GetRootCa(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="get-root-ca"):
    """Asks for the root certificate; the asker compares it with the digest in its token."""


class IssueCertificate(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="issue"):
    """Asks to become a member; sent only to a manager that the true root has certified."""

    token: str
    csr_pem: str
    availability: Availability = "active"
    manager_addr: str = ""  # host:port for other nodes, should the node be a manager

    def __repr__(self) -> str:
        """Leave the token out."""
        return "IssueCertificate(...)"


class RootCaAnswer(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="root-ca"):
    """The root certificate."""

    root_ca_pem: str


class IssuedAnswer(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="issued"):
    """The new member's identity."""

    certificate: CertificateResponse


class Refusal(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="refused"):
    """Why not: the error's kind and text, and where the leader is if that would help."""

    kind: str
    message: str
    leader_addr: str = ""


Question = GetRootCa | IssueCertificate
Answer = RootCaAnswer | IssuedAnswer | Refusal

_question_decoder: Final[msgspec.msgpack.Decoder[Question]] = msgspec.msgpack.Decoder(Question)
_answer_decoder: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


class BadFrame(Exception):
    """The peer does not speak this protocol."""


async def write_frame(writer: asyncio.StreamWriter, message: Question | Answer) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    writer.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
    await writer.drain()


async def read_question(reader: asyncio.StreamReader) -> Question:
    """Read what a joining node asks.

    Raises:
        BadFrame: it is nothing this version understands.
    """
    body = await _read_body(reader)
    try:
        return _question_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise BadFrame("the question cannot be read") from error


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read what the manager answers.

    Raises:
        BadFrame: it is nothing this version understands.
    """
    body = await _read_body(reader)
    try:
        return _answer_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise BadFrame("the answer cannot be read") from error


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
        if length > _LARGEST_FRAME:
            raise BadFrame(f"a message of {length} bytes is over {_LARGEST_FRAME}")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise BadFrame("the connection ended before a whole message") from error

"""The local Docker Engine: docker SDK in one thread pool, its errors turned into ours.

The SDK's sessions are not safe to share between threads, so every thread of the pool has one.
Its low-level client sends what it is given and hides nothing, which keeps a task at three calls:
create, start, inspect.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import docker
import requests
import structlog
from docker.errors import APIError, DockerException
from docker.types import IPAMConfig

from cluster.errors import (
    ClusterError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
    Unimplemented,
)
from cluster.model.registry_login import decode_registry_auth

log = structlog.get_logger(__name__)

T = TypeVar("T")
Json = dict[str, Any]

CALLS = 8  # engine calls at a time
PULLS = 3  # image pulls at a time
STREAMS = 2  # of events
API_TIMEOUT_S = 120  # a start may wait long for its turn on a busy engine
PROBE_TIMEOUT_S = 5.0
CANCEL_GRACE_S = 5.0  # a call on its way is waited for before its caller is cancelled

_KINDS: Mapping[int, type[ClusterError]] = {
    400: InvalidArgument,
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    409: FailedPrecondition,
    501: Unimplemented,
    503: Unavailable,
}
_ENGINE_IN_TROUBLE = (  # its containerd is away, or it shuts down: no fault of the request
    "containerd.sock",
    "transport is closing",
    "client connection is closing",
    "context canceled",
    "daemon is shutting down",
    "ttrpc: closed",
)


class EngineFailure(ClusterError):
    """The engine could not do what it was asked, and would not if it were asked again."""


class Engine:
    """The Docker Engine behind a unix socket; an async context manager."""

    def __init__(self, base_url: str) -> None:
        """Name the engine (``unix://`` and its socket); nothing is opened before the first call."""
        if not base_url.startswith("unix:///"):
            raise InvalidArgument(f"engine {base_url!r}: must be unix:// and a socket's path")
        self._base_url = base_url
        self._pool = ThreadPoolExecutor(CALLS + PULLS + STREAMS, thread_name_prefix="engine")
        self._local = threading.local()
        self._clients: list[docker.APIClient] = []  # of all threads, to be closed
        self._api_version: str | None = None
        self._pulls = asyncio.Semaphore(PULLS)

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            client.close()

    @property
    def socket_path(self) -> str:
        """The engine's unix socket."""
        return self._base_url.removeprefix("unix://")

    async def api_version(self) -> tuple[int, int]:
        """Return the version of the engine's API that is spoken.

        Raises:
            Unavailable: the engine is away.
        """
        version = self._api_version
        if version is None:
            version = await self._call(lambda client: str(client.api_version))
        major, _, minor = version.partition(".")
        return int(major), int(minor)

    async def info(self) -> Json:
        """Return ``/info``."""
        return await self._call(lambda client: client.info())

    async def create(self, name: str, payload: Json) -> str:
        """Create a container and return its ID.

        What the engine could not apply, a limit that its kernel does not know for example, it
        only warns of; the log tells.

        Raises:
            NotFound: the image is not here.
            FailedPrecondition: the name is taken.
        """
        created = await self._call(
            lambda client: client.create_container_from_config(payload, name)  # type: ignore[no-untyped-call]
        )
        for warning in created.get("Warnings") or ():
            log.warning("the engine does not apply a setting", container=name, warning=warning)
        return str(created["Id"])

    async def start(self, container_id: str) -> None:
        """Start a container; one that runs already is left alone."""
        await self._call(lambda client: client.start(container_id))

    async def inspect(self, container: str) -> Json:
        """Return what the engine knows of a container, by ID or name."""
        return await self._call(lambda client: client.inspect_container(container))

    async def kill(self, container_id: str, signal: str) -> None:
        """Send a signal to the container's first process."""
        await self._call(lambda client: client.kill(container_id, signal))

    async def remove(self, container: str) -> None:
        """Remove a container, stopped or not, and its anonymous volumes."""
        await self._call(lambda client: client.remove_container(container, v=True, force=True))

    async def list_containers(self, filters: Mapping[str, Sequence[str]]) -> list[Json]:
        """Return all containers, stopped ones too, that match."""
        return await self._call(lambda client: client.containers(all=True, filters=dict(filters)))

    async def list_networks(self, filters: Mapping[str, Sequence[str]]) -> list[Json]:
        """Return the networks that match."""
        return await self._call(lambda client: client.networks(filters=dict(filters)))

    async def network_members(self, network: str) -> Json:
        """Return a network's endpoints, by the ID of their container."""

        def work(client: docker.APIClient) -> Json:
            members: Json = client.inspect_network(network)["Containers"]
            return members

        return await self._call(work)

    async def create_network(self, payload: Json) -> str:
        """Make a network as ``POST /networks/create`` describes it, and return its ID."""

        def work(client: docker.APIClient) -> str:
            made = client.create_network(
                payload["Name"],
                driver=payload["Driver"],
                options=payload["Options"],
                ipam=IPAMConfig(driver=payload["IPAM"]["Driver"]),
                check_duplicate=True,
                internal=payload["Internal"],
                labels=payload["Labels"],
            )
            return str(made["Id"])

        return await self._call(work)

    async def remove_network(self, network: str) -> None:
        """Remove a network.

        Raises:
            PermissionDenied: containers are in it.
        """
        await self._call(lambda client: client.remove_network(network))

    async def connect(self, network: str, container_id: str, settings: Json) -> None:
        """Connect a container to a further network."""

        def work(client: docker.APIClient) -> None:
            client.connect_container_to_network(
                container_id, network, driver_opt=settings.get("DriverOpts")
            )

        await self._call(work)

    async def pull(self, image: str, encoded_auth: str | None = None) -> None:
        """Pull an image; a cancelled caller ends the pull.

        Args:
            image: its name, with tag or digest.
            encoded_auth: credentials as in ``X-Registry-Auth``; without, none are used, whatever
                the files of this process's user hold.

        Raises:
            ClusterError: the registry's answer.
        """
        auth = decode_registry_auth(encoded_auth or "")
        ended = threading.Event()

        def work(client: docker.APIClient) -> None:
            for line in _pull_lines(client, image, auth):
                if ended.is_set():
                    return
                if "error" in line:
                    raise EngineFailure(str(line["error"]))

        async with self._pulls:
            try:
                await self._call(work, is_abandoned_when_cancelled=True)
            finally:
                ended.set()

    async def follow_events(
        self,
        filters: Mapping[str, Sequence[str]],
        on_open: Callable[[], None],
        on_event: Callable[[Json], None],
    ) -> None:
        """Pass on the engine's events until its stream ends; takes one thread all the time.

        Args:
            filters: as of ``GET /events``.
            on_open: called in the event loop once no later event can be missed.
            on_event: called in the event loop for each event.

        Raises:
            Unavailable: the engine is away or went away.
        """
        loop = asyncio.get_running_loop()
        streams: list[Any] = []
        is_abandoned = threading.Event()

        def work(client: docker.APIClient) -> None:
            stream = client.events(filters=dict(filters), decode=True)
            streams.append(stream)
            if is_abandoned.is_set():
                stream.close()
                return
            loop.call_soon_threadsafe(on_open)
            for event in stream:
                loop.call_soon_threadsafe(on_event, event)

        try:
            await self._call(work, is_abandoned_when_cancelled=True)
        finally:
            is_abandoned.set()
            for stream in streams:
                with contextlib.suppress(OSError, AttributeError, DockerException):
                    stream.close()
        raise Unavailable("the engine ended its event stream")

    async def _call(
        self,
        work: Callable[[docker.APIClient], T],
        *,
        is_abandoned_when_cancelled: bool = False,
    ) -> T:
        """Run `work` in the pool.

        A cancelled caller waits a moment for a call on its way, so that what it began is not
        half known; a stream is abandoned instead, as its thread ends by other means.
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._guarded, work)
        future.add_done_callback(_fetch_error)
        if is_abandoned_when_cancelled:
            return await future
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future}, timeout=CANCEL_GRACE_S)
            raise

    def _guarded(self, work: Callable[[docker.APIClient], T]) -> T:
        try:
            return work(self._client())
        except APIError as error:
            raise _our_error(error) from error
        except (requests.exceptions.RequestException, DockerException, OSError) as error:
            self._drop_client()  # its connections are of an engine that is gone
            raise Unavailable(f"engine {self._base_url} is away: {_shortly(error)}") from error

    def _client(self) -> docker.APIClient:
        client: docker.APIClient | None = getattr(self._local, "client", None)
        if client is None:
            self._probe()
            client = docker.APIClient(
                base_url=self._base_url,
                version=self._api_version or "auto",
                timeout=API_TIMEOUT_S,
            )
            client.trust_env = False  # a unix socket needs no look-up of proxies and netrc
            self._api_version = str(client.api_version)
            self._local.client = client
            self._clients.append(client)
        return client

    def _drop_client(self) -> None:
        client: docker.APIClient | None = getattr(self._local, "client", None)
        if client is not None:
            self._local.client = None
            self._clients.remove(client)
            client.close()

    def _probe(self) -> None:
        """Fail early: the SDK would leave a refused socket to the garbage collector."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PROBE_TIMEOUT_S)
            probe.connect(self.socket_path)


def _fetch_error(future: asyncio.Future[T]) -> None:
    """Count the error of a call as seen, though its caller may be cancelled by then."""
    if not future.cancelled():
        future.exception()


def _pull_lines(client: docker.APIClient, image: str, auth: Json) -> Iterator[Json]:
    lines: Iterator[Json] = client.pull(image, stream=True, decode=True, auth_config=auth)
    return lines


def _our_error(error: APIError) -> ClusterError:
    text = str(error.explanation or error)
    status = error.status_code or 500
    if status == 500 and any(sign in text for sign in _ENGINE_IN_TROUBLE):
        return Unavailable(text)
    return _KINDS.get(status, EngineFailure)(text)


def _shortly(error: BaseException) -> str:
    """Return the innermost reason: the outer ones only repeat it with addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__

"""How a command finds the digests of images: --resolve-image and --with-registry-auth."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterable
from typing import Any

import click
import msgspec

from stack.cli.project import report
from stack.deploy.image_digests import (
    Resolved,
    ResolveImage,
    ask_engine,
    ask_registry,
    image_of,
    remembering,
    resolve_images,
)
from stack.deploy.plan import Observed
from stack.engine.client import EngineClient
from stack.engine.payloads import Json
from stack.engine.registry_logins import RegistryLogins
from stack.errors import StackError
from stack.translate.stack_spec import StackSpec


class ImageChoice(msgspec.Struct, frozen=True):
    """Which images are pinned, and whether with the user's logins."""

    resolve: ResolveImage
    with_login: bool
    strict: bool = False  # a registry that does not answer is an error

    def logins(self, services: Iterable[Json]) -> dict[str, str]:
        """The encoded login at the registry of its image, by name of the service."""
        if not self.with_login:
            return {}
        known = RegistryLogins(os.environ)
        found = {spec["Name"]: known.encoded(image_of(spec)) for spec in services}
        return {name: login for name, login in found.items() if login}

    def pinning(self, client: EngineClient) -> StackPinning:
        """What pins the images of a stack."""
        return StackPinning(self, client)

    def of_one(self, client: EngineClient, spec: Json, *, is_new: bool) -> tuple[Json, str]:
        """A service with its image pinned if that `is_new`, and the login to send or ""."""
        named = {**spec, "Name": spec.get("Name", "")}
        logins = self.logins([named])
        lookup = ask_registry(client.another)
        nothing = Observed(services={}, network_ids={})
        resolve = self.resolve if is_new else "never"
        resolved = resolve_images([named], nothing, resolve, logins, lookup, ask_engine(client))
        self.report(resolved, ())
        (pinned,) = resolved.services
        return pinned, logins.get(named["Name"], "")

    def report(self, resolved: Resolved, told: Collection[str]) -> None:
        """Warn of what was not `told` yet, and raise if an image has no digest at all."""
        report((text for text in resolved.warnings if text not in told), strict=self.strict)
        if resolved.refused:
            raise StackError("\n".join(resolved.refused))


class StackPinning:
    """Pins the images of one stack, as often as that is looked at.

    Registries are asked once for each image, and a warning is printed once.
    """

    def __init__(self, choice: ImageChoice, client: EngineClient) -> None:
        self._choice = choice
        self._client = client
        self._lookup = remembering(ask_registry(client.another))
        self._told: set[str] = set()

    def ask_anew(self) -> None:
        """Forget what registries said, as tags may have moved since."""
        self._lookup = remembering(ask_registry(self._client.another))

    def pinned(self, wanted: StackSpec, observed: Observed) -> StackSpec:
        """The stack with images pinned; what registries do not answer is warned of.

        Raises:
            ComposeError: an image has no digest from its registry, and that is to be strict.
            StackError: a registry did not answer, and nobody else knows a digest.
        """
        choice = self._choice
        resolved = resolve_images(
            wanted.services,
            observed,
            choice.resolve,
            choice.logins(wanted.services),
            self._lookup,
            ask_engine(self._client),
        )
        choice.report(resolved, self._told)
        self._told.update(resolved.warnings)
        return msgspec.structs.replace(wanted, services=resolved.services)


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, given to the command as `images`."""

    @functools.wraps(command)
    def with_images(
        *arguments: Any, resolve_image: ResolveImage, with_login: bool, **rest: Any
    ) -> Any:
        return command(*arguments, images=ImageChoice(resolve_image, with_login), **rest)

    options = (
        click.option(
            "--resolve-image",
            type=click.Choice(("always", "changed", "never")),
            default="always",
            show_default=True,
            help="Ask registries for the digests of all images, of new and changed ones, or of "
            "none. A new image without a digest is refused, unless the manager's engine has it "
            "from no registry.",
        ),
        click.option(
            "--with-registry-auth",
            "with_login",
            is_flag=True,
            help="Let the nodes pull with your logins at registries, as docker login keeps them.",
        ),
    )
    decorated: Callable[..., Any] = with_images
    for add in reversed(options):
        decorated = add(decorated)
    return decorated

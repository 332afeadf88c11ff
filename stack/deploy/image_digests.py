"""Pins images: a tag becomes the digest that its registry has for it now.

With a digest all nodes run the same image, whatever happens to the tag.  A registry that does not
answer must not stop a deploy of what runs already: the known digest stays, and a warning says so.
An image of which nobody knows a digest is refused, unless the manager's engine has it from no
registry: whoever loads images on the nodes has no other name for them than the tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from stack.deploy.plan import Observed, pinned_image
from stack.engine.client import EngineClient
from stack.engine.payloads import Json, copied
from stack.errors import EngineError, StackError
from stack.translate.names import IMAGE_LABEL

ResolveImage = Literal["always", "changed", "never"]

_QUESTIONS = 8  # at a time
_BARE = (
    "each node takes what it has under this name or pulls it, and nodes may run different versions"
)


class Distribution(msgspec.Struct, frozen=True):
    """What a registry says of an image."""

    digest: str
    platforms: tuple[Json, ...] = ()


Answer = Distribution | StackError
Lookup = Callable[[str, str], Answer]
"""From an image and the encoded login at its registry to what the registry says."""


Local = Callable[[str], tuple[str, ...] | None]
"""From an image to the digests ("name@sha256:…") that the manager's engine has it by; None if the
engine does not have it."""


class Resolved(msgspec.Struct, frozen=True):
    """Services with pinned images, what to warn of, and which images have no digest at all."""

    services: tuple[Json, ...]
    warnings: tuple[str, ...]
    refused: tuple[str, ...] = ()


def resolve_images(
    services: Iterable[Json],
    observed: Observed,
    resolve: ResolveImage,
    logins: Mapping[str, str],
    lookup: Lookup,
    local: Local,
) -> Resolved:
    """Pin the images of services.

    Args:
        services: the wanted specs.
        observed: the cluster; what is there tells which images are known.
        resolve: "always" asks for every image, "changed" for those the cluster does not have in
            this service under this name, "never" for none.
        logins: the encoded login at the image's registry, by name of the service.
        lookup: asks for one image; called in threads.
        local: what the manager's engine has, asked where the registry gives no digest.
    """
    services = tuple(services)
    questions = {
        spec["Name"]: (image_of(spec), logins.get(spec["Name"], ""))
        for spec in services
        if _is_asked_for(spec, observed, resolve)
    }
    answers = _asked(tuple(dict.fromkeys(questions.values())), lookup)
    warnings: list[str] = []
    refused: list[str] = []
    pinned = []
    for spec in services:
        question = questions.get(spec["Name"])
        answer = answers[question] if question else None
        if isinstance(answer, Distribution):
            spec = _pinned(spec, answer)  # noqa: PLW2901 - the same service
        elif answer is not None:
            known = _known(spec, observed, local)
            text = f"image {image_of(spec)}: its registry gave no digest ({answer}){known.text}"
            (warnings if known.is_enough else refused).append(text)
            if known.pin is not None:
                spec = _pinned(spec, known.pin)  # noqa: PLW2901 - the same service
        pinned.append(spec)
    return Resolved(tuple(pinned), tuple(dict.fromkeys(warnings)), tuple(dict.fromkeys(refused)))


def _asked(questions: tuple[tuple[str, str], ...], lookup: Lookup) -> dict[tuple[str, str], Answer]:
    if not questions:
        return {}
    from concurrent.futures import ThreadPoolExecutor  # it takes long to import

    with ThreadPoolExecutor(_QUESTIONS) as pool:
        return dict(zip(questions, pool.map(lambda q: lookup(*q), questions), strict=True))


def ask_registry(open_client: Callable[[], EngineClient]) -> Lookup:
    """A lookup through the local engine of a node, a connection for each question."""

    def lookup(image: str, login: str) -> Answer:
        try:
            with open_client() as client:
                answer = client.distribution(image, login)
            digest = answer["Descriptor"]["digest"]
        except StackError as error:
            return error
        except (KeyError, TypeError):
            return StackError("the answer names no digest")
        platforms = tuple(
            {"Architecture": known.get("architecture", ""), "OS": known.get("os", "")}
            for known in answer.get("Platforms") or ()
        )
        return Distribution(digest, tuple(p for p in platforms if p["Architecture"]))

    return lookup


def remembering(lookup: Lookup) -> Lookup:
    """A lookup that asks once for each image, and gives the same answer after that."""
    answers: dict[tuple[str, str], Answer] = {}

    def known(image: str, login: str) -> Answer:
        if (image, login) not in answers:
            answers[image, login] = lookup(image, login)
        return answers[image, login]

    return known


def ask_engine(client: EngineClient) -> Local:
    """A lookup in the engine of the manager that `client` talks to."""

    def local(image: str) -> tuple[str, ...] | None:
        try:
            return tuple(client.image(image).get("RepoDigests") or ())
        except EngineError:  # it has none, or a deploy token of an older server may not ask
            return None

    return local


def _is_asked_for(spec: Json, observed: Observed, resolve: ResolveImage) -> bool:
    if resolve == "never" or "@" in image_of(spec):
        return False
    if resolve == "always":
        return True
    current = observed.services.get(spec["Name"])
    if current is None:
        return True
    known = current["Spec"].get("Labels") or {}
    return bool(known.get(IMAGE_LABEL) != spec["Labels"][IMAGE_LABEL])


def _pinned(spec: Json, known: Distribution) -> Json:
    spec = copied(spec)
    template = spec["TaskTemplate"]
    template["ContainerSpec"]["Image"] = pinned_image(image_of(spec), known.digest)
    if known.platforms:
        template.setdefault("Placement", {}).setdefault("Platforms", list(known.platforms))
    return spec


class _Known(msgspec.Struct, frozen=True):
    """What is known of an image whose registry says nothing."""

    text: str
    pin: Distribution | None = None  # to that
    is_enough: bool = True  # to deploy it


def _known(spec: Json, observed: Observed, local: Local) -> _Known:
    image = image_of(spec)
    running = {
        name: found
        for name, service in observed.services.items()
        if (found := _digest_of(service["Spec"], image))
    }
    if digest := running.get(spec["Name"]):
        return _Known(f": kept as it is, {digest}")  # the comparison with what is there does that
    current = observed.services.get(spec["Name"])
    if current is not None and image_of(current["Spec"]) == image:
        return _Known(f": kept as it is, without a digest: {_BARE}")
    if len(set(running.values())) == 1:
        name, digest = next(iter(running.items()))
        placement = observed.services[name]["Spec"]["TaskTemplate"].get("Placement") or {}
        pin = Distribution(digest, tuple(placement.get("Platforms") or ()))
        return _Known(f": taken is {digest}, with which {name} runs", pin)
    there = local(image)
    if there is None:
        return _Known(
            ", and neither the stack nor the manager's engine has one: with --resolve-image never "
            "each node takes what it has under this name or pulls it",
            is_enough=False,
        )
    own = [one.partition("@")[2] for one in there if _short(one) == _short(image)]
    if own:
        text = f": taken is {own[0]}, which the manager's engine has"
        return _Known(text, Distribution(own[0]))
    return _Known(f", and the manager's engine has it from none: {_BARE}")


def _digest_of(spec: Json, image: str) -> str:
    """The digest by which a service runs an image, "" if it runs another, or one without."""
    running = image_of(spec)
    known = running.partition("@")[2]
    return known if known and running == pinned_image(image, known) else ""


def _short(image: str) -> str:
    """The image's name without tag and digest, as engines show it."""
    name = image.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    name = f"{folder}{slash}{last.partition(':')[0]}"
    return name.removeprefix("docker.io/").removeprefix("library/")


def image_of(spec: Json) -> str:
    """The image that a service's spec names."""
    image: str = spec["TaskTemplate"]["ContainerSpec"]["Image"]
    return image

"""Pins images: a tag becomes the digest that its registry has for it now.

With a digest all nodes run the same image, whatever happens to the tag.  A registry that does not
answer must not stop a deploy of what runs already: the known digest stays, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from stack.deploy.plan import Observed, pinned_image
from stack.engine.client import EngineClient
from stack.engine.payloads import Json, copied
from stack.errors import StackError
from stack.translate.names import IMAGE_LABEL

ResolveImage = Literal["always", "changed", "never"]

_QUESTIONS = 8  # at a time


class Distribution(msgspec.Struct, frozen=True):
    """What a registry says of an image."""

    digest: str
    platforms: tuple[Json, ...] = ()


Answer = Distribution | StackError
Lookup = Callable[[str, str], Answer]
"""From an image and the encoded login at its registry to what the registry says."""


class Resolved(msgspec.Struct, frozen=True):
    """Services with pinned images, and what to warn of."""

    services: tuple[Json, ...]
    warnings: tuple[str, ...]


def resolve_images(
    services: Iterable[Json],
    observed: Observed,
    resolve: ResolveImage,
    logins: Mapping[str, str],
    lookup: Lookup,
) -> Resolved:
    """Pin the images of services.

    Args:
        services: the wanted specs.
        observed: the cluster; what is there tells which images are known.
        resolve: "always" asks for every image, "changed" for those the cluster does not have in
            this service under this name, "never" for none.
        logins: the encoded login at the image's registry, by name of the service.
        lookup: asks for one image; called in threads.
    """
    services = tuple(services)
    questions = {
        spec["Name"]: (image_of(spec), logins.get(spec["Name"], ""))
        for spec in services
        if _is_asked_for(spec, observed, resolve)
    }
    answers = _asked(tuple(dict.fromkeys(questions.values())), lookup)
    warnings = []
    pinned = []
    for spec in services:
        question = questions.get(spec["Name"])
        answer = answers[question] if question else None
        if isinstance(answer, Distribution):
            spec = _pinned(spec, answer)  # noqa: PLW2901 - the same service
        elif answer is not None:
            warnings.append(_warning(spec, observed, answer))
        pinned.append(spec)
    return Resolved(tuple(pinned), tuple(dict.fromkeys(warnings)))


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


def _warning(spec: Json, observed: Observed, error: StackError) -> str:
    image = image_of(spec)
    current = observed.services.get(spec["Name"])
    running = "" if current is None else image_of(current["Spec"])
    known = running.partition("@")[2]
    if known and running == pinned_image(image, known):
        return f"image {image}: its registry gave no digest ({error}): kept as it is, {known}"
    return (
        f"image {image}: its registry gave no digest ({error}): each node takes what it has under "
        "this name or pulls it, and nodes may run different versions"
    )


def image_of(spec: Json) -> str:
    """The image that a service's spec names."""
    image: str = spec["TaskTemplate"]["ContainerSpec"]["Image"]
    return image

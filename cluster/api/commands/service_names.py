"""Names for services that were given none."""

from __future__ import annotations

_QUALITIES = (
    "amber", "brisk", "calm", "candid", "clever", "cosy", "deft", "eager", "fair", "fleet",
    "frank", "gentle", "glad", "hardy", "honest", "humble", "keen", "kind", "lively", "loyal",
    "merry", "mild", "neat", "noble", "patient", "plucky", "proud", "quick", "quiet", "ready",
    "serene", "sharp", "sober", "steady", "sunny", "swift", "tidy", "warm", "wise", "witty",
)  # fmt: skip
_PEOPLE = (
    "babbage", "bell", "boole", "carson", "cerf", "clarke", "codd", "curie", "darwin", "dijkstra",
    "erdos", "euler", "faraday", "fermat", "franklin", "galileo", "gauss", "goodall", "hamilton",
    "hertz", "hopper", "hypatia", "johnson", "kepler", "lamarr", "lamport", "liskov", "lovelace",
    "meitner", "mendel", "newton", "noether", "pascal", "pasteur", "perlman", "ritchie", "shannon",
    "thompson", "turing", "wiles",
)  # fmt: skip


def name_from_id(fresh_id: str) -> str:
    """Return a name such as ``calm_noether``.

    Args:
        fresh_id: a new identifier; the same one always gives the same name.
    """
    number, person = divmod(int(fresh_id, 36), len(_PEOPLE))
    return f"{_QUALITIES[number % len(_QUALITIES)]}_{_PEOPLE[person]}"

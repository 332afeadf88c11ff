"""Loading of compose texts for tests, without a file."""

from collections.abc import Mapping
from textwrap import dedent

from stack.compose.loader import Loaded, load
from stack.compose.source import Source, SourceFile


def load_texts(
    *texts: str, environment: Mapping[str, str] | None = None, stack: str = ""
) -> Loaded:
    """Load compose texts as files a.yml, b.yml, … of the folder /srv/shop."""
    files = tuple(
        SourceFile(f"{chr(ord('a') + index)}.yml", dedent(text).encode())
        for index, text in enumerate(texts)
    )
    return load(Source(files, "/srv/shop", environment or {}, "/home/u"), stack)

"""A command written as one text, split into words as a POSIX shell would.

Operators such as ``&&`` and ``|`` are words like others: no shell runs the command.
"""

from __future__ import annotations

_BLANKS = " \t\n\r"


def split_words(text: str) -> tuple[str, ...]:
    """Split at blanks; quotes and backslashes protect; comments are not known.

    Raises:
        ValueError: a quote is never closed, or a backslash ends the text.
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    characters = iter(text)
    for character in characters:
        if quote == "'" and character != "'":
            assert word is not None
            word.append(character)
        elif character == "\\":
            following = next(characters, None)
            if following is None:
                raise ValueError("a backslash ends the command")
            word = word or []
            word.append(following)
        elif quote:
            assert word is not None
            if character == quote:
                quote = ""
            else:
                word.append(character)
        elif character in "'\"":
            quote = character
            word = word or []
        elif character in _BLANKS:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = word or []
            word.append(character)
    if quote:
        raise ValueError(f"the quote {quote} is never closed")
    if word is not None:
        words.append("".join(word))
    return tuple(words)


def has_operators(words: tuple[str, ...]) -> bool:
    """Whether a word looks as if a shell were expected."""
    return any(word in ("&&", "||", "|", ";", "&", ">", "<", ">>") for word in words)

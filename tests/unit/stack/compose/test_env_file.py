"""The grammar of .env files."""

import pytest

from stack.compose.env_file import read_env_text, read_raw_env_text
from stack.errors import ComposeError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB = two words \n", {"A": "1", "B": "two words"}),
        ("# c\n\nexport A=1 # c\nB=a#b\n", {"A": "1", "B": "a#b"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A: 1\nB=\n", {"A": "1", "B": ""}),
        ("A='$X \\n # c' rest\n", {"A": "$X \\n # c"}),
        ('A="l1\nl2\\t\\"q\\" \\$X" rest\nB=2', {"A": 'l1\nl2\t"q" $X', "B": "2"}),
        ("A=1\nB=$A-${NO:-d}-$SHELL_VAR\n", {"A": "1", "B": "1-d-s"}),
        ("SHELL_VAR=x\nB=$SHELL_VAR\n", {"SHELL_VAR": "x", "B": "s"}),
        ("SHELL_VAR\nNO\n", {"SHELL_VAR": "s"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=p$$w\\n\n", {"A": "p$w\\n"}),
        ("", {}),
    ],
)
def test_lines(text: str, values: dict[str, str]) -> None:
    assert read_env_text(text, ".env", {"SHELL_VAR": "s"}) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nB C=2\n", ".env:2: a key cannot contain a space"),
        ("\n=1\n", ".env:2: not of the form KEY=value"),
        ("A='1\n", ".env:1: A: the quote ' is never closed"),
        ("A=${B:?why}\n", ".env:1: A: required variable B is missing a value: why"),
    ],
)
def test_an_error_names_the_line_and_no_value(text: str, message: str) -> None:
    with pytest.raises(ComposeError) as caught:
        read_env_text(text, ".env", {})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=#c", "#c"), ("A= # c", "# c"), ("A=x # c", "x"), ("A=x# c", "x# c"), ("A=x\t# c", "x\t# c"),
        (r'A="\0101\a\t\""', 'A\a\t"'), (r'A="\$X\x"', r"$X\x"), (r"A=a\nb", r"a\nb"), ("A: 'x'", "x"),
    ],
)  # fmt: skip
def test_values_are_what_docker_compose_takes_them_for(text: str, value: str) -> None:
    assert read_env_text(text, ".env", {}) == {"A": value}


def test_what_stands_behind_is_asked_last() -> None:
    behind = {"A": "behind", "B": "behind"}
    text = "A=1\nC=$A-$B-$S"
    assert read_env_text(text, ".env", {"S": "shell"}, behind.get)["C"] == "1-behind-shell"


def test_raw_lines_are_literal() -> None:
    text = '# c\nA="1"\nB=$A # x\nC\nD\n\n E=\n'
    assert read_raw_env_text(text, "x.env", {"C": "c"}.get) == {
        "A": '"1"', "B": "$A # x", "C": "c", "E": "",
    }  # fmt: skip
    with pytest.raises(ComposeError, match=r"x\.env:1: not of the form KEY=value"):
        read_raw_env_text("A B=1", "x.env", {}.get)

"""Templates of --format, by the words of Go's text/template and of Docker's client.

`tests/compat/test_listing_templates.py` compares with Docker's client itself.
"""

import pytest

from stack.cli.templates import aligned, filled_in
from stack.errors import UsageError

COLUMNS = {"ID": "ID", "Name": "NAME", "Mode": "MODE", "Ports": "PORTS"}
ROW = {
    "ID": "hx",
    "Name": "webapp",
    "Mode": "replicated",
    "Ports": "",
    "Labels": {"x.y": "1", "zone": "a"},
    "Self": True,
}


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{.Name}} {{.Self}} {{.Labels}}", "webapp true map[x.y:1 zone:a]"),
        ("{{.Labels.zone}} {{$.Name}} {{.Labels.none}}", "a webapp <no value>"),
        ('{{.Label "x.y"}}|{{.Label "none"}}|{{index .Labels "zone"}}', "1||a"),
        ('{{join (split .Name "a") "-"}} {{(index (split .Name "b") 1) | upper}}', "web-pp APP"),
        (
            '{{pad .Name 1 2}}|{{pad .Ports 1 2}}|{{truncate .Name 3}}|{{title "a b"}}',
            " webapp  ||web|A B",
        ),
        (
            '{{printf "%-8s|%3d|%q|%t|%v%%" .Name 3 .Mode .Self 1.5}}',
            'webapp  |  3|"replicated"|true|1.5%',
        ),
        ('{{if eq .Mode "global"}}G{{else if .Ports}}P{{else}}R{{end}}', "R"),
        ("{{with .Ports}}{{.}}{{else}}none{{end}}{{with .Name}}{{.}}{{end}}", "nonewebapp"),
        ('{{range $i, $x := split .Name "b"}}{{$i}}={{$x}} {{end}}', "0=we 1=app "),
        ("{{range .Labels}}{{.}},{{end}}", "1,a,"),
        ('{{range split "" ","}}<{{.}}>{{else}}none{{end}}', "<>"),
        ("{{$x := .Name}}{{$x}}{{/* no */}}{{- .Mode -}} !", "webappreplicated!"),
        ('{{"a\\x41\\u00e9\\t"}}{{`\\x41`}}', "aAé\t\\x41"),
        ("{{not .Ports}} {{and .Name .Ports}}|{{or .Ports .Name}}", "true |webapp"),
        ("{{len .Name}} {{lt 1 2}} {{ge 1 2}} {{ne .Name .Mode}}", "6 true false true"),
        (
            '{{html "<a> \\"b\\""}} {{urlquery "a b"}} {{print 1 2 "x"}}',
            "&lt;a&gt; &#34;b&#34; a+b 1 2x",
        ),
        ("{{slice .Name 1 3}} {{json .Name}} {{lower .Mode}}", 'eb "webapp" replicated'),
        ("{{true}} {{nil}}{{.Name}}\\t.", "true <no value>webapp\t."),
    ],
)
def test_what_a_template_gives(template: str, line: str) -> None:
    assert filled_in(template, [ROW], COLUMNS) == f"{line}\n"


def test_a_row_as_json_has_its_members_in_order() -> None:
    row = {"Name": "é<", "ID": "1", "Self": False, "Labels": "a=b"}
    text = '{"ID":"1","Labels":"a=b","Name":"é<","Self":false}\n'
    assert filled_in("{{json .}}", [row], COLUMNS) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{.Nope}}", "can't evaluate field Nope: there are ID, Name"),
        ("{{.Name.X}}", "can't evaluate field X in 'webapp'"),
        ("{{.Name", "unclosed action"),
        ("{{foo .Name}}", "function 'foo' is not supported"),
        ("{{call .Name}}", "function 'call' is not supported"),
        ('{{template "x"}}', "{{template}} is not supported"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{if .Name}}", "{{if}} has no {{end}}"),
        ("{{}}", "missing value for command"),
        ("{{.Name | }}", "missing value for command"),
        ("{{(.Name}}", "unclosed left parenthesis"),
        ("{{.Name)}}", "unexpected ')' in an action"),
        ("{{.Name ?}}", "unexpected '?' in an action"),
        ("{{.Name 1}}", "can't give argument to non-function .Name"),
        ("{{$x}}", "undefined variable '$x'"),
        ('{{split .Name "a" | join "-"}}', "error calling join: '-' is no list"),
        ("{{index .Name 9}}", "index out of range: 9"),
        ("{{slice .Name 3 1}}", "index out of range: 3 to 1"),
        ("{{eq 1 .Name}}", "incompatible types"),
        ("{{truncate .Name}}", "error calling truncate"),
        ('{{printf "%z" 1}}', "%z is not supported"),
        ('{{"\\q"}}', r"unknown escape \q"),
        ("{{range .Self}}{{end}}", "range can't iterate over 'true'"),
        ("raw", "raw is not supported: take table, json or a template"),
    ],
)
def test_what_is_wrong_is_named(template: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        filled_in(template, [ROW], COLUMNS)
    assert problem in str(caught.value)


def test_a_table_has_headings_that_functions_leave_alone() -> None:
    table = filled_in(
        'table {{lower .Name}}\\t{{.Label "my-key"}}\\t{{json .Self}}', [ROW], COLUMNS
    )
    assert table.splitlines() == [
        "NAME      my key    SELF",
        "webapp              true",
    ]
    assert filled_in("table {{.ID}}", [], COLUMNS) == "ID\n"


def test_columns_are_as_wide_as_their_widest_cell_in_lines_that_follow_each_other() -> None:
    assert aligned("a\tb\tc\nlonger than ten\tb\n\nx\ty\n") == (
        "a                 b         c\nlonger than ten   b\n\nx         y\n"
    )

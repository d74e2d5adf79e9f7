"""Every key that `tomllib` finds has a line, and the right one."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.app.toml import Path, lines_of_keys

SAMPLE = '''\
title = "a # sign"   # and a comment
"quoted.key" = 1
'literal' . inner.'x y' = 2

[portals.mx]
port = 25
listen = [
    "tcp:25",  # ]
    "tcp:2525",
]
text = """
port = 9
[not.a.table]
"""
raw = \'\'\'it's "raw"\'\'\'
when = 1979-05-27 07:32:00

[[routes]]
match = "a"
[routes.extra]
deep = {x = 1, y = [ {z = 2},
    {z = 3}]}
[[routes]]
match = "b"
[ routes . extra ]
deep = []
'''

EXPECTED = {
    ("title",): 1,
    ("quoted.key",): 2,
    ("literal",): 3,
    ("literal", "inner"): 3,
    ("literal", "inner", "x y"): 3,
    ("portals",): 5,
    ("portals", "mx"): 5,
    ("portals", "mx", "port"): 6,
    ("portals", "mx", "listen"): 7,
    ("portals", "mx", "listen", 0): 8,
    ("portals", "mx", "listen", 1): 9,
    ("portals", "mx", "text"): 11,
    ("portals", "mx", "raw"): 15,
    ("portals", "mx", "when"): 16,
    ("routes",): 18,
    ("routes", 0): 18,
    ("routes", 0, "match"): 19,
    ("routes", 0, "extra"): 20,
    ("routes", 0, "extra", "deep"): 21,
    ("routes", 0, "extra", "deep", "x"): 21,
    ("routes", 0, "extra", "deep", "y"): 21,
    ("routes", 0, "extra", "deep", "y", 0): 21,
    ("routes", 0, "extra", "deep", "y", 0, "z"): 21,
    ("routes", 0, "extra", "deep", "y", 1): 22,
    ("routes", 0, "extra", "deep", "y", 1, "z"): 22,
    ("routes", 1): 23,
    ("routes", 1, "match"): 24,
    ("routes", 1, "extra"): 25,
    ("routes", 1, "extra", "deep"): 26,
}


def paths(value: object, path: Path = ()) -> set[Path]:
    """Return every path in a parsed document."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    found = {path} if path else set()
    for key, item in inner:
        found |= paths(item, (*path, key))
    return found


def test_each_key_of_the_sample_has_its_line() -> None:
    assert lines_of_keys(SAMPLE) == EXPECTED
    assert set(EXPECTED) == paths(tomllib.loads(SAMPLE))


def test_line_ends_do_not_matter() -> None:
    assert lines_of_keys(SAMPLE.replace("\n", "\r\n")) == EXPECTED


@pytest.mark.parametrize(
    "text",
    ["", "\n\n# only\n", 'x = """"quoted""""\ny = 1', "a = ''''x''''\nb=2", "a.b=1\na.c=2"],
)
def test_corners(text: str) -> None:
    assert set(lines_of_keys(text)) == paths(tomllib.loads(text))


names = st.sampled_from(["a", "b-c", '"d.e"', "'f g'", "a . z", '"=[]"'])
values = st.recursive(
    st.sampled_from(["1", "true", '"x]"', "'}'", '"""a\n"b" = [\n"""', "1979-05-27 07:32:00"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ # {\n" + ",\n".join(items) + "]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"k{n} = {v}" for n, v in enumerate(items)) + "}"
        ),
    ),
    max_leaves=6,
)
statements = st.one_of(
    st.tuples(names, values).map(" = ".join),
    names.map("[{}]".format),
    names.map("[[ {} ]]".format),
    st.just("# a = 1"),
)


@given(st.lists(statements, max_size=12).map("\n".join))
def test_it_finds_what_tomllib_finds(text: str) -> None:
    try:
        known = paths(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return
    found = lines_of_keys(text)
    assert set(found) == known
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())

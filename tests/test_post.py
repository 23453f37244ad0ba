"""Posts: takeaways are added under their heading, once, and no other byte of somebody's post is touched.

Where bullets land is asked of markdown-it, a CommonMark parser that has nothing to do with ours.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from invivo.errors import BadText, InvivoError
from invivo.journal import HEADING, Entry, export, write_post
from invivo.journal.outline import outline
from invivo.journal.post import bullets, insertion
from invivo.pictures import Bars, Series
from invivo.show.blocks import Document, Figure, Heading, Text
from invivo.show.markdown import escaped, opening
from invivo.show.text import safe

from .samples import HOSTILE, comparison

SECTION = f"## {HEADING}"


@dataclass(frozen=True)
class Note:
    id: str
    takeaway: str


A, B = Note("aaaaaaaaaaaa", "head 3.5 copies names"), Note("bbbbbbbbbbbb", "temperature 1.2 wanders")
LINE_A, LINE_B = (f"- {n.takeaway} <!-- invivo:{n.id} -->" for n in (A, B))


def added(post: bytes, *notes: Note) -> bytes:
    """The post after an export."""
    lines = bullets(notes, post)
    if not lines:
        return post
    at, block = insertion(post, lines)
    return post[:at] + block + post[at:]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def without_front_matter(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"\A---[ \t]*\n.*?^(---|\.\.\.)[ \t]*$", "", text, count=1, flags=re.S | re.M)


@dataclass(frozen=True)
class Parsed:
    """What a Markdown reader sees: headings in order, and under which of them each of our bullets is."""

    headings: tuple[tuple[int, str], ...]
    bullets: tuple[tuple[int, str], ...]  # (index of the heading it is under, its id)
    code: tuple[str, ...]


def parsed(post: bytes) -> Parsed:
    tokens = MarkdownIt().parse(without_front_matter(post.decode()))
    headings: list[tuple[int, str]] = []
    found: list[tuple[int, str]] = []
    depth = 0
    for i, token in enumerate(tokens):
        depth += token.nesting if token.type == "list_item_open" or token.type == "list_item_close" else 0
        if token.type == "heading_open" and token.level == 0:
            headings.append((int(token.tag[1]), tokens[i + 1].content))
        elif token.type == "inline" and depth:
            for child in token.children or []:
                if child.type == "html_inline" and (marker := re.fullmatch(r"<!-- invivo:(\w+) -->", child.content)):
                    found.append((len(headings) - 1, marker[1]))
    return Parsed(tuple(headings), tuple(found), tuple(t.content for t in tokens if t.type in ("fence", "code_block")))


# ── where bullets go ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{SECTION}\n\n{LINE_A}\n"),
        ("Hello", f"Hello\n\n{SECTION}\n\n{LINE_A}"),
        ("Hello\n", f"Hello\n\n{SECTION}\n\n{LINE_A}\n"),
        ("Hello\n\n\n", f"Hello\n\n{SECTION}\n\n{LINE_A}\n\n\n"),
        (f"{SECTION}\n", f"{SECTION}\n\n{LINE_A}\n"),
        (SECTION, f"{SECTION}\n\n{LINE_A}"),
        (f"{SECTION}\n# End\n", f"{SECTION}\n\n{LINE_A}\n\n# End\n"),
        (f"{SECTION}\n\n\n\n# End", f"{SECTION}\n\n{LINE_A}\n\n\n\n# End"),
        (
            f"{SECTION}\n\nWords.\n\n### Deeper\n\nMore.\n\n## Next\n",
            f"{SECTION}\n\nWords.\n\n### Deeper\n\nMore.\n\n{LINE_A}\n\n## Next\n",
        ),
        (f"{SECTION}\n\n- mine\n\n## Next\n", f"{SECTION}\n\n- mine\n{LINE_A}\n\n## Next\n"),
        (f"{SECTION}\n\n* mine\n  goes on\n* two\n", f"{SECTION}\n\n* mine\n  goes on\n* two\n*{LINE_A[1:]}\n"),
        (f"{SECTION}\n\nwords\n- mine", f"{SECTION}\n\nwords\n- mine\n\n{LINE_A}"),
        (f"{SECTION}\n\n- - -\n", f"{SECTION}\n\n- - -\n\n{LINE_A}\n"),
        (f"{SECTION}\n\nNext\n----\n\nNot ours.\n", f"{SECTION}\n\n{LINE_A}\n\nNext\n----\n\nNot ours.\n"),
        (f"{SECTION}\n\nNext\ngoes on\n===\n", f"{SECTION}\n\n{LINE_A}\n\nNext\ngoes on\n===\n"),
        (f"{HEADING}\n======\n\ntext\n\n# Next\n", f"{HEADING}\n======\n\ntext\n\n{LINE_A}\n\n# Next\n"),
        (
            f"{SECTION}\n\n```sh\n# no heading\n```\n\n## Next\n",
            f"{SECTION}\n\n```sh\n# no heading\n```\n\n{LINE_A}\n\n## Next\n",
        ),
        (
            f"{SECTION}\n\n{{% highlight sh %}}\n# no heading\n\n{{% endhighlight %}}\n",
            f"{SECTION}\n\n{{% highlight sh %}}\n# no heading\n\n{{% endhighlight %}}\n\n{LINE_A}\n",
        ),
        (
            f"{SECTION}\n\n{{% highlight sh %}}{{% endhighlight %}}\n# Next\n",
            f"{SECTION}\n\n{{% highlight sh %}}{{% endhighlight %}}\n\n{LINE_A}\n\n# Next\n",
        ),
        (f"~~~\n{SECTION}\n~~~\n", f"~~~\n{SECTION}\n~~~\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"````\n```\n{SECTION}\n````\n", f"````\n```\n{SECTION}\n````\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"<!--\n{SECTION}\n-->\n", f"<!--\n{SECTION}\n-->\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"<pre>\n\n{SECTION}\n</pre>\n", f"<pre>\n\n{SECTION}\n</pre>\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"<div>\n{SECTION}\n</div>\n", f"<div>\n{SECTION}\n</div>\n\n{SECTION}\n\n{LINE_A}\n"),
        ("```\nleft open\n", f"```\nleft open\n```\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"{SECTION}\n\n~~~~\n- left open", f"{SECTION}\n\n~~~~\n- left open\n~~~~\n\n{LINE_A}"),
        (f"---\ntitle: x\n{SECTION}\n---\n", f"---\ntitle: x\n{SECTION}\n---\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"    {SECTION}\n", f"    {SECTION}\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"{SECTION}x\n", f"{SECTION}x\n\n{SECTION}\n\n{LINE_A}\n"),
        (f"{SECTION}\n\na\n\n{SECTION}\n\nb\n", f"{SECTION}\n\na\n\n{LINE_A}\n\n{SECTION}\n\nb\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_bullets_go_to_the_end_of_their_section(before: str, after: str, newline: str, mark: str) -> None:
    old = (mark + before.replace("\n", newline)).encode()
    new = (mark + after.replace("\n", newline)).encode()
    assert added(old, A) == (new if "\n" in before else new.replace(newline.encode(), b"\n"))
    assert added(new, A) == new


@pytest.mark.parametrize(
    "heading",
    [
        f"# {HEADING}",
        f"###### {HEADING}",
        f"   ## {HEADING}   ",
        f"## {HEADING} ##  ",
        f"## {HEADING} {{#examples}}",
        f"## {HEADING} {{: .wide #examples}}",
        f'## <a name="x"></a>{HEADING}',
        f"## [{HEADING}](#x)",
        f"## **{HEADING}**",
        "## ⚡️ Examples from Experiments",
        "## :zap: Examples from Experiments",
        "## ⚡  examples from experiments:",
        "##\tExamples from Experiments ⚡",
    ],
)
def test_the_heading_is_known_however_it_is_written(heading: str) -> None:
    post = f"# Post\n\n{heading}\n\nWords.\n".encode()
    assert added(post, A) == post + f"\n{LINE_A}\n".encode()


@pytest.mark.parametrize(
    "heading",
    [
        f"##{HEADING}",
        f"####### {HEADING}",
        HEADING,
        f"> ## {HEADING}",
        "## Examples",
        "## More examples from experiments",
        f"\\## {HEADING}",
    ],
)
def test_what_is_no_such_heading_is_not_taken_for_it(heading: str) -> None:
    post = f"# Post\n\n{heading}\n\nWords.\n".encode()
    assert added(post, A) == post + f"\n{SECTION}\n\n{LINE_A}\n".encode()


def test_a_second_export_goes_on_with_the_list() -> None:
    once = added(b"Hello\n", A)
    twice = added(once, A, B)
    assert twice == f"Hello\n\n{SECTION}\n\n{LINE_A}\n{LINE_B}\n".encode()
    assert twice != once
    assert added(b"Hello\n", A, B, A) == twice
    assert added(twice, B, A) == twice


def test_a_bullet_that_its_writer_reworded_or_moved_stays_as_it_is() -> None:
    post = f"Look: <!--invivo:{A.id}--> names!\n\n{SECTION}\n".encode()
    assert added(post, A) == post
    assert added(post, A, B) == post + f"\n{LINE_B}\n".encode()


# ── any post at all ──────────────────────────────────────────────────────────────────────────────────────────────────

NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
SCRAPS = st.sampled_from(
    [
        "",
        " ",
        "\t",
        "text",
        "text  ",
        "# One",
        "## Two",
        "### Three ###",
        "#### Four",
        "#no heading",
        "=====",
        "---",
        "- - -",
        "***",
        "- item",
        "* item",
        "+ item",
        "1. item",
        "  more",
        "    code",
        "\tcode",
        "> quoted",
        "> # quoted",
        "```",
        "```py",
        "~~~",
        "~~~~",
        "````",
        "<!-- note -->",
        "<!--",
        "-->",
        "<div>",
        "</div>",
        "<pre>",
        "</pre>",
        "<b>bold</b>",
        "| a | b |",
        "{% highlight sh %}",
        "{% endhighlight %}",
        "{% raw %}",
        "{: .class}",
        "[ref]: /url",
        "title: x",
        SECTION,
        f"# {HEADING}",
        HEADING,
        f"- old <!-- invivo:{B.id} -->",
        "\ufeff",
        "é ⚡ \u2028 \x0b",
        "\x00",
    ]
)
ANY_POST = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.tuples(
        NEWLINES,
        st.lists(SCRAPS),
        st.sampled_from(["", "\ufeff", "---\ntitle: x\n---\n", "---\r\na: 1\r\n...\r\n"]),
        st.sampled_from(["", "\n", "\r\n\r\n"]),
    ).map(lambda x: x[2] + x[0].join(x[1]) + x[3]),
    st.lists(st.tuples(SCRAPS, NEWLINES)).map(lambda x: "".join(a + b for a, b in x)),
).map(str.encode)


@settings(max_examples=400, deadline=None)
@given(ANY_POST, st.lists(st.builds(Note, st.from_regex(r"[0-9a-f]{12}", fullmatch=True), st.text()), max_size=3))
def test_taking_the_block_out_again_gives_the_post_back(post: bytes, notes: list[Note]) -> None:
    new = added(post, *notes)
    size = len(new) - len(post)
    assert any(new[:i] + new[i + size :] == post for i in range(len(post) + 1)), "one run of bytes was put in"
    lines = {n.id: opening(escaped(" ".join(n.takeaway.split()))) for n in notes if n.takeaway.split()}
    fresh = {line for i, line in lines.items() if f"invivo:{i} " not in post.decode()}
    fresh = {line for line in fresh if f"{line} <!-- invivo:" not in post.decode()}  # the same words are one line
    assert new.count(b"<!-- invivo:") == post.count(b"<!-- invivo:") + len(fresh)
    assert (size > 0) == bool(fresh)
    assert added(new, *notes) == new, "twice is once"
    assert set(re.findall(rb"\r\n|\r|\n", new)) <= (set(re.findall(rb"\r\n|\r|\n", post)) or {b"\n"}), "its line ends"
    if post.removeprefix(b"\xef\xbb\xbf") and fresh:
        assert new.endswith((b"\n", b"\r")) == post.endswith((b"\n", b"\r")), "its last line end, or none"


# Blocks that both readers know, each whole: what ours does not follow (nested blocks) is not in them.
BLOCKS = st.sampled_from(
    [
        "text",
        "two\nlines",
        "# One",
        "## Two",
        "### Three #",
        "One\n===",
        "Two\n---",
        "- item\n- item",
        "* item\n  more",
        "1. item",
        "> quoted\n> # quoted",
        "    code\n    # code",
        "```\n# code\n```",
        "~~~~ py\n## code\n~~~\n~~~~",
        "<!-- a\n# b\n-->",
        "<div>\n# raw\n</div>",
        "<pre>\n\n# raw\n</pre>",
        "***",
        "- - -",
        "- item\n---",
        "***\ntext\n---",
        "text\n# Straight after",
        SECTION,
        SECTION,
        f"# {HEADING}",
        f"### {HEADING} ###",
        f"```\n{SECTION}\n```",
        f"<!-- {SECTION}\n{SECTION}\n-->",
        f"> {SECTION}",
        f"    {SECTION}",
        f"text\n{SECTION}\ntext\n## Next",
        f"{HEADING}\n---",
        "<a id='x'></a>\n## Two",
        "####### text",
        "text\n\n    code\ntext\n---",
    ]
)
TAILS = st.sampled_from(["", "\n", "\n\n", "\n```\nopen", "\n~~~~\n# open\n\n", "\n<!-- open\n", "\n<pre>\nopen\n"])


@settings(max_examples=400, deadline=None)
@given(
    st.lists(BLOCKS, max_size=8),
    st.sampled_from(["\n\n", "\n\n\n", "\n \n"]),
    TAILS,
    st.sampled_from(["", "---\ntitle: '# x'\n---\n"]),
    NEWLINES,
)
def test_another_reader_finds_the_bullets_where_they_belong(
    blocks: list[str], gap: str, tail: str, front: str, newline: str
) -> None:
    post = (front + gap.join(blocks) + tail).replace("\n", newline).encode()
    old, new = parsed(post), parsed(added(post, A, B))

    known = HEADING in [text for _, text in old.headings]
    assert new.headings == (old.headings if known else (*old.headings, (2, HEADING)))
    section = [text for _, text in new.headings].index(HEADING)
    levels = [level for level, _ in new.headings]
    last = section + 1  # the section, and the deeper ones under it, end before this one
    while last < len(levels) and levels[last] > levels[section]:
        last += 1
    assert new.bullets == ((last - 1, A.id), (last - 1, B.id))
    assert len(new.code) == len(old.code), "no bullet became code and no code became text"
    mine = outline(post).heads
    assert [(h.level, " ".join(h.text.split())) for h in mine] == [(n, " ".join(t.split())) for n, t in old.headings]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.text(st.sampled_from("-+*_`#[](){}<>!&|~^=:.1 ax\\$%'\"\n")), st.just(HOSTILE)))
def test_a_takeaway_is_read_as_its_own_text(text: str) -> None:
    post = added(b"", Note("0123456789ab", text))
    words = " ".join(text.split())
    if not words:
        assert post == b""
        return
    line = post.decode().splitlines()[2]
    assert not re.search(r"\{[{%]", line), "Liquid has nothing to run"
    tokens = MarkdownIt().parse(line)
    assert [t.type for t in tokens] == [
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
        "inline",
        "paragraph_close",
        "list_item_close",
        "bullet_list_close",
    ]
    *said, blank, marker = children(tokens)
    assert {t.type for t in said} <= {"text", "text_special"}
    assert marker.content == "<!-- invivo:0123456789ab -->"
    assert "".join(t.content for t in (*said, blank)).rstrip(" ") == safe(words).rstrip(" ")


def children(tokens: list[Token]) -> list[Token]:
    found = tokens[3].children or []
    return found if len(found) > 2 else [Token("text", "", 0), *found]


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_export_counts_what_it_adds_and_leaves_no_other_file(tmp_path: Path) -> None:
    post = tmp_path / "post.md"
    post.write_bytes(b"Hello\r\n")
    assert export(post, [A]) == 1
    assert export(post, [A, B, Note("cccccccccccc", " ")]) == 1
    before = post.stat()
    assert export(post, [A, B]) == 0
    assert post.stat().st_mtime_ns == before.st_mtime_ns
    assert post.read_bytes() == f"Hello\n\n{SECTION}\n\n{LINE_A}\n{LINE_B}\n".replace("\n", "\r\n").encode()
    assert files(tmp_path) == ["post.md"]


def test_entries_of_the_journal_are_what_is_exported(tmp_path: Path) -> None:
    entry = Entry.made(comparison(), takeaway="zeroing 3.5 loses `Mary` <b>")
    export(tmp_path / "p.md", [entry])
    line = (tmp_path / "p.md").read_text("utf-8").splitlines()[-1]
    assert line == f"- zeroing 3.5 loses \\`Mary\\` &lt;b&gt; <!-- invivo:{entry.id} -->"


def test_a_post_that_does_not_exist_is_begun(tmp_path: Path) -> None:
    post = tmp_path / "new.md"
    assert export(post, []) == 0
    assert not post.exists()
    assert export(post, [A]) == 1
    _, front, body = post.read_text("utf-8").split("---\n")
    fields = yaml.safe_load(front)
    assert set(fields) == {"layout", "title", "date", "tags"}
    assert datetime.strptime(fields["date"], "%Y-%m-%d %H:%M:%S %z").tzinfo
    assert body == f"\n{SECTION}\n\n{LINE_A}\n"
    assert export(post, [A]) == 0


def test_mode_and_link_stay(tmp_path: Path) -> None:
    post = tmp_path / "repository" / "post.md"
    post.parent.mkdir()
    post.write_bytes(b"x")
    post.chmod(0o640)
    link = tmp_path / "link.md"
    link.symlink_to(Path("repository") / "post.md")
    assert export(link, [A]) == 1
    assert link.is_symlink()
    assert stat.S_IMODE(post.stat().st_mode) == 0o640
    assert A.id in post.read_text("utf-8")
    mask = os.umask(0o027)
    try:
        export(tmp_path / "new.md", [A])
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new.md").stat().st_mode) == 0o640


@pytest.mark.parametrize("data", [b"caf\xe9\n", b"\xff\xfe#\x00", f"{SECTION}\n".encode("utf-16")])
def test_what_is_not_utf8_is_left_alone(tmp_path: Path, data: bytes) -> None:
    post = tmp_path / "post.md"
    post.write_bytes(data)
    with pytest.raises(BadText, match=r"is not UTF-8: byte \d is 0x") as caught:
        export(post, [A])
    assert "UTF-8" in str(caught.value.hint)
    assert post.read_bytes() == data


def broken(number: int):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_stop_in_the_middle_leaves_the_old_post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    post = tmp_path / "post.md"
    post.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, broken(28))
        with pytest.raises(InvivoError, match=r"cannot write .*No space left") as caught:
            export(post, [A])
        assert "free some space" in str(caught.value.hint)
    assert post.read_bytes() == b"old"
    assert files(tmp_path) == ["post.md"]
    assert export(post, [A]) == 1


def test_ctrl_c_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "post.md").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "post.md", [A])
    assert files(tmp_path) == ["post.md"]
    assert (tmp_path / "post.md").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("folder", "cannot read .*directory"),
        ("missing/post.md", "cannot write .*No such file"),
        ("file/post.md", "Not a directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, where: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InvivoError, match=said) as caught:
        export(tmp_path / where, [A])
    assert caught.value.hint


def test_a_read_only_post_is_not_renamed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    post = tmp_path / "post.md"
    post.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InvivoError, match="Permission denied"):
        export(post, [A])
    assert post.read_bytes() == b"old"


# ── a post of its own ────────────────────────────────────────────────────────────────────────────────────────────────


def lab(title: str, figure: str = "02-next-token") -> Document:
    bars = Bars(
        title="Next token",
        summary="Lowers ' Mary'.",
        labels=("·Mary",),
        unit="%",
        series=(Series(name="BASE", role="base", values=(62.0,)),),
    )
    return Document(
        blocks=(
            Heading(text=title, level=1),
            Text(text="why " + HOSTILE),
            Heading(text="The numbers"),
            Figure(picture=bars, name=figure),
        )
    )


def test_a_post_has_its_labs_its_figures_and_its_takeaways(tmp_path: Path) -> None:
    out = tmp_path / "a" / "post"
    path = write_post(out, [lab("Lab 02"), lab("Lab 05")], [A, B], "First light: 3 labs")
    name = f"{datetime.now().astimezone():%Y-%m-%d}-first-light-3-labs"
    assert path == out / f"{name}.md"
    text = path.read_text("utf-8")
    fields = yaml.safe_load(text.split("---\n")[1])
    assert (fields["layout"], fields["title"]) == ("post", "First light: 3 labs")
    seen = parsed(text.encode())
    assert seen.headings == ((2, "Lab 02"), (3, "The numbers"), (2, "Lab 05"), (3, "The numbers"), (2, HEADING))
    assert seen.bullets == ((4, A.id), (4, B.id))
    pictures = re.findall(r"!\[Next token\]\((.*?)\)", text)
    assert len(set(pictures)) == 2, "labs with figures of one name do not share a file"
    for picture in pictures:
        assert (out / picture).read_bytes().lstrip().startswith(b"<svg")
        assert (out / picture).with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert len(files(out / "figures")) == 4
    assert not re.search(r"\{[{%]", text), "Liquid has nothing to run"
    assert "<script" not in text
    assert export(path, [A, B]) == 0


def test_a_post_is_written_anew_until_somebody_edits_it(tmp_path: Path) -> None:
    first = write_post(tmp_path, [], [A], "x")
    assert write_post(tmp_path, [], [B], "x") == first
    assert B.id in first.read_text("utf-8")
    assert A.id not in first.read_text("utf-8")
    export(first, [A])
    mine = first.read_bytes()
    second = write_post(tmp_path, [], [A], "x")
    assert second.name == first.stem + "-2.md"
    assert first.read_bytes() == mine
    assert write_post(tmp_path, [], [B], "x") == second
    first.write_bytes(first.read_bytes().replace(b"title: x", b"title: y"))
    assert write_post(tmp_path, [], [B], "x") == second


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Hello, World!", "hello-world"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "experiments"),
        ("???", "experiments"),
        ("Ünïcode 実験", "ünïcode-実験"),
        ("a\nb: 'c' \x1b {{ x }} ---", "a-b-c-x"),
        ("x" * 300, "x" * 40),
        ("実" * 99, "実" * 40),
    ],
)
def test_any_title_makes_a_name_and_front_matter(tmp_path: Path, title: str, name: str) -> None:
    path = write_post(tmp_path, [], [A], title)
    assert path.parent == tmp_path
    assert path.stem[11:] == name
    front = path.read_text("utf-8").split("\n---\n")[0]
    shown = yaml.safe_load(front.removeprefix("---\n"))["title"]
    assert shown == (safe(" ".join(title.split())) or HEADING)
    assert len(shown.splitlines()) == 1


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvivoError, match=r"cannot (make|read) ") as caught:
        write_post(tmp_path / "file", [lab("x")], [A], "x")
    assert caught.value.hint
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", broken(28))
        with pytest.raises(InvivoError, match=r"cannot write .*No space left"):
            write_post(tmp_path / "out", [lab("x")], [A], "x")
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["figures"], "nothing half-written stays"

"""Command lines: words quoted so that a shell reads what was meant, and lines broken only where it joins them again.

A prompt may hold anything. A word whose characters can all be seen stands as it is or in single quotes, line ends
included; one with something unseen (an escape sequence, a tab, a mark that turns the reading direction) is written
`$'…'` with bytes in octal, as POSIX 2024 has it and bash, zsh and ksh read it, so that a command does nothing to the
terminal it is shown in. What this module does not do: a zero byte is one that no shell can hand on.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from .text import cells, safe

INDENT = "   "  # and a space before the word: lines after the first
LEAST = 20  # columns; a part of a word that would get fewer starts a line of its own; a character may take 16
SHORT = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\\": r"\\", "'": r"\'"}
_PIECE = re.compile(
    r"""\$'(?P<ansi>(?:\\.|[^'\\])*)'|'(?P<plain>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<gap>\s+)"""
    r"""|\\(?P<escaped>.)|(?P<bare>[^\s'"\\$]+|\$(?!'))""",
    re.DOTALL,
)


def join(words: Iterable[str]) -> str:
    """The command line that a shell reads as these words."""
    return " ".join(map(quote, words))


def quote(word: str) -> str:
    """One word as a shell reads it."""
    if _unseen(word):
        return "$'" + "".join(map(_ansi, word)) + "'"
    return shlex.quote(word)


def split(command: str) -> list[str]:
    """The words of a command line: what `join` was given. Raises ValueError where a quote is not closed."""
    words: list[str] = []
    fresh, at = True, 0
    while at < len(command):
        found = _PIECE.match(command, at)
        if found is None:
            raise ValueError(f"no word ends after character {at}")
        at, kind = found.end(), found.lastgroup
        text = found[kind] if kind else ""
        if kind == "gap":
            fresh = True
            continue
        if kind == "ansi":
            text = _read_ansi(text)
        elif kind == "double":
            text = re.sub(r"\\([\\\"$`])", r"\1", text)
        words[len(words) - (not fresh) :] = [text if fresh else words[-1] + text]
        fresh = False
    return words


def broken(command: str, width: int) -> list[str]:
    """A command's lines in `width` columns, each but the last ending where a shell joins them again.

    A flag stays with its value. A value that is longer than a line is cut behind a blank into quoted parts; only where
    it has none for longer than a line is it cut anywhere. A line end inside a value is one inside its line.
    """
    try:
        words = split(command)
    except ValueError:
        return [command]
    lines = [""]
    for number, word in enumerate(words):
        after_flag = number > 0 and words[number - 1].startswith("--")
        value = words[number + 1] if word.startswith("--") and number + 1 < len(words) else ""
        whole = " ".join(map(quote, [word, value] if value else [word]))
        if lines[-1] and not after_flag and not _fits(f"{lines[-1]} {whole}", width):
            _new_line(lines, " \\", INDENT)
        if lines[-1] and not _fits(f"{lines[-1]} {quote(word)}", width) and _room(lines[-1], width) < LEAST:
            _new_line(lines, " \\", INDENT)
        lines[-1] += " " if lines[-1] else ""
        if _fits(lines[-1] + quote(word), width):
            lines[-1] += quote(word)
            continue
        first, *others = parts(word, _room(lines[-1], width), max(width - 2, LEAST))
        lines[-1] += first
        for part in others:  # no blank before the backslash and none on the next line: still one word
            _new_line(lines, "\\", part)
    return lines


def parts(word: str, first: int, room: int) -> list[str]:
    """A word as several in quotes, the first at most `first` cells wide and the others `room`; side by side they are
    the word again. They end behind blanks where they can.
    """
    unseen = _unseen(word)
    opening = "$'" if unseen else "'"
    spell = _ansi if unseen else lambda char: "'\"'\"'" if char == "'" else char
    found, used, most = [""], 0, first - len(opening) - 1
    for run in re.findall(r"\n|[^ \n]* |[^ \n]+", word):
        letters = [spell(char) for char in run]
        whole = "".join(letters)
        for piece in [whole] if cells(whole) <= (room - len(opening) - 1 if found[-1] else most) else letters:
            if used + cells(piece) > most and found[-1]:
                found.append("")
                used, most = 0, room - len(opening) - 1
            found[-1] += piece
            used = 0 if piece == "\n" else used + cells(piece)
    return [f"{opening}{part}'" for part in found]


def _fits(line: str, width: int) -> bool:
    """Whether each of its lines leaves two columns for what joins it to the next."""
    return all(cells(part) <= width - 2 for part in line.split("\n"))


def _room(line: str, width: int) -> int:
    """How many columns are left behind what stands last."""
    return width - 2 - cells(line.rsplit("\n", 1)[-1])


def _new_line(lines: list[str], joined_by: str, start: str) -> None:
    lines[-1] += joined_by
    lines.append(start)


def _unseen(word: str) -> bool:
    return any(safe(char) != char for char in word if char != "\n")


def _ansi(char: str) -> str:
    """A character inside `$'…'`: three octal digits a byte, so that a digit behind it stays one of its own."""
    if char in SHORT:
        return SHORT[char]
    return char if safe(char) == char else "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogatepass"))


def _read_ansi(text: str) -> str:
    short = {value: key for key, value in SHORT.items()}

    def byte(found: re.Match[str]) -> bytes:
        return bytes([int(found[1], 8)]) if found[1] else short.get(found[0], found[0][1:]).encode()

    out, at = b"", 0
    for found in re.finditer(r"\\(?:([0-7]{1,3})|.)", text, re.DOTALL):
        out += text[at : found.start()].encode() + byte(found)
        at = found.end()
    return (out + text[at:].encode()).decode("utf-8", "surrogatepass")

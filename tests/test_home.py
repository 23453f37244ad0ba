"""Where invivo keeps things, on every platform."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from invivo.errors import InvivoError
from invivo.home import home


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "~/.local/share/invivo"),
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/invivo"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "~/.local/share/invivo"),
        ("linux", {"XDG_DATA_HOME": "/data", "INVIVO_HOME": "~/mine"}, "~/mine"),
        ("linux", {"INVIVO_HOME": ""}, "~/.local/share/invivo"),
        ("darwin", {"XDG_DATA_HOME": "/data"}, "~/Library/Application Support/invivo"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/invivo"),
        ("win32", {}, "~/AppData/Local/invivo"),
    ],
)
def test_home_is_the_platforms_own_place(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("INVIVO_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert home() == Path(expected).expanduser()


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVIVO_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(InvivoError, match="no home folder") as caught:
        home()
    assert "INVIVO_HOME" in str(caught.value.hint)

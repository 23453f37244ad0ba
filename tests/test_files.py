"""Files of the user: whole or not at all, and never a device."""

import os
from pathlib import Path

import pytest

from invivo.errors import InvivoError
from invivo.files import read, replace


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.txt"
    replace(path, b"one")
    replace(path, b"two")
    assert read(path) == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_no_regular_file_is_left_alone(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InvivoError, match="not a regular file"):
        replace(pipe, b"x")
    assert pipe.is_fifo()
    with pytest.raises(InvivoError, match="a device"):
        read(Path("/dev/zero"))

"""What needs a library that is not there says which line installs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from invivo.engine.extras import extra
from invivo.errors import Refused


def test_a_library_that_is_there_comes_in_silence(tmp_path, monkeypatch, capsys):
    (tmp_path / "loud_library.py").write_text(
        "import sys, warnings\nprint('hello', file=sys.stderr)\nwarnings.warn('old')\nVALUE = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert extra("loud_library", "eval").VALUE == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("module", ["nowhere_library", "nowhere_library.part"])
def test_one_that_is_missing_names_the_line(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "nowhere_library", None)
    with pytest.raises(Refused, match="needs nowhere-library") as told:
        extra(module, "adapt")
    assert told.value.hint == "pip install 'invivo[adapt]'"


def test_a_start_loads_no_torchao_and_says_nothing():
    code = "import sys, invivo; invivo.load(); sys.exit('torchao' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_transformers_took_from_torchao_still_works():
    code = (
        "import invivo.engine, transformers.quantizers.quantizer_torchao as q; assert q.is_torchao_available();"
        "import torch; print(q.flatten_tensor_state_dict({'a': torch.ones(2)}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tensor([1., 1.])" in done.stdout

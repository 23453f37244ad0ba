"""What every test gets: a home of its own, no network, one thread."""

from __future__ import annotations

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is first imported
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="invivo-tests-")
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from invivo.experiment import Lab, LabResult


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests go to one worker, so that what several look at is made once: those of a lab, those of a model
    that labs are tried on, and else those of a file.
    """
    for item in items:
        given = getattr(item, "callspec", None)
        values = given.params if given is not None else {}
        file = item.path.stem
        if file.startswith(("test_browser", "test_axe", "test_one_file")):
            group = "browser"  # they share a port, and a processor is soon full of browsers
        elif file == "test_all_labs":
            group = values["lab"].full_name[:2] if "lab" in values else str(values.get("model", file))
        else:
            group = file.removeprefix("test_lab_")
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the journal, the cache or the settings of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "INVIVO_HOME"):
        monkeypatch.setenv(name, str(home))
    for name in ("INVIVO_DEBUG", "INVIVO_EXACT", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def fruitfly() -> Any:
    """The model that the package ships, loaded once for all tests that ask for it."""
    from invivo.engine.live import load

    return load()


@pytest.fixture(scope="session")
def on_fruitfly(fruitfly: Any) -> Callable[[Lab], LabResult]:
    """A lab's whole result on fruitfly; each lab is run once, however many tests look at it."""
    done: dict[str, LabResult] = {}

    def result(lab: Lab) -> LabResult:
        if lab.full_name not in done:
            done[lab.full_name] = fruitfly.run_lab(lab)
        return done[lab.full_name]

    return result

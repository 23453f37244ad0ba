"""What a recipe is: plain data that says what to run, written as YAML and read back."""

from __future__ import annotations

from typing import Any, Self

import yaml

from ..errors import BadText
from ..spec import Spec


class Recipe(Spec):
    """Everything that is needed to run something, and to run it again."""

    def plain(self) -> dict[str, Any]:
        """Only what differs from the defaults, as plain data; `of` reads it back."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def to_yaml(self) -> str:
        """The recipe as YAML; `from_yaml` reads it back to an equal one."""
        return yaml.safe_dump(self.plain(), sort_keys=False, width=100)

    def to_cli(self) -> str | None:
        """The command that runs it; None where there is none."""
        return None

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read YAML. Raises BadText with line and column where it is no YAML, or with the field that is wrong."""
        return cls.of(read_yaml(text))


class OnModel(Recipe):
    """A recipe that names the model it is for."""

    model: str = "fruitfly"
    """Name or folder of the model."""
    revision: str | None = None
    """The model's revision on its hub."""
    dtype: str | None = None
    """Number format of the weights; the model's own on a GPU, float32 on a CPU, when left out."""


def read_yaml(text: str) -> Any:
    """Plain data from YAML. Raises BadText that names line and column."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadText(f"unreadable YAML{where}: {getattr(error, 'problem', error)}") from None
    except (ValueError, RecursionError) as error:  # a date that does not exist; nesting without end
        raise BadText(f"unreadable YAML: {str(error).splitlines()[0]}") from None

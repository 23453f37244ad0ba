"""An experiment as plain data: everything needed to run it, and to run it again. Written as Python, YAML or a command.

The four doors are one recipe: `Experiment.to_yaml`, `.to_cli`, `.to_python` print the other ways to say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import yaml
from pydantic import Field, model_validator

from ..errors import BadText
from ..show import shell
from ..show.text import safe_lines
from ..spec import Name, number_text
from ..tweaks import Decoding, Stack
from ..tweaks.decoding import check_beams
from .case import Case
from .recipe import Recipe


class Experiment(Recipe):
    """BASE and the TWEAKs to compare with it, on one prompt, with one set of dice."""

    prompt: str
    """What both read."""
    tweaks: tuple[Stack, ...] = ()
    """One TWEAK row each; a row's tweaks are joined by ` + `."""
    prompts: dict[Name, str] = Field(default_factory=dict)
    """Further prompts by name, which tweaks such as `copy … from clean` take values from."""
    target: str | None = None
    """An answer whose log-probability after the prompt is measured, in nats."""
    wrong: str | None = None
    """An answer that the target is compared with."""
    read: str | None = None
    """A text whose perplexity each row is asked for."""
    decoding: Decoding = Decoding()
    """How tokens are chosen."""
    seed: int = Field(default=0, ge=0)
    """The dice: BASE and TWEAK share them."""
    model: str = "fruitfly"
    """Name or folder of the model."""
    revision: str | None = None
    """The model's revision on its hub."""
    dtype: str | None = None
    """Number format of the weights; the model's own on a GPU, float32 on a CPU, when left out."""
    top: int = Field(default=8, ge=1, le=100)
    """How many tokens the next-token table shows of each row."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for name, text in (("prompt", self.prompt), *self.prompts.items()):
            if not text:
                raise BadText(
                    f"the {name} is empty" if name == "prompt" else f"the prompt {name!r} is empty",
                    hint="give at least one character to read",
                )
        for what, text in (
            ("prompt", self.prompt),
            ("target", self.target),
            ("wrong answer", self.wrong),
            ("text to read", self.read),
            *self.prompts.items(),
        ):
            try:
                (text or "").encode()
            except UnicodeEncodeError as error:  # bytes that were no UTF-8 come as half characters
                raise BadText(f"the {what} is not Unicode text, from character {error.start} on") from None
        for stack in self.tweaks:
            check_beams(stack)
        for name in self.needed_prompts:
            if name not in self.prompts:
                known = ", ".join(self.prompts) or "none"
                raise BadText(
                    f"a tweak takes values from a prompt called {name!r}, which is not given (given: {known})",
                    hint=f'add --prompt {name}="…" on the command line, or `prompts: {{{name}: …}}` in YAML',
                )
        return self

    @property
    def needed_prompts(self) -> set[str]:
        """Names of the prompts that tweaks take values from."""
        from ..tweaks import Activation

        found = {t.source_prompt for stack in self.tweaks for t in stack if isinstance(t, Activation)}
        return {name for name in found if name}

    @property
    def case(self) -> Case:
        """Its prompts and answers, as a sweep or a control takes them."""
        return Case(prompt=self.prompt, prompts=self.prompts, target=self.target, wrong=self.wrong)

    @property
    def on(self) -> dict[str, Any]:
        """Which model, as every other recipe names it."""
        return {"model": self.model, "revision": self.revision, "dtype": self.dtype}

    def plain(self) -> dict[str, Any]:
        """Only what differs from the defaults, as plain data; `Experiment.of` reads it back."""
        return self.model_dump(exclude_defaults=True) | {"prompt": self.prompt}

    def to_yaml(self) -> str:
        """The experiment as YAML: `Experiment.from_yaml` reads it back to an equal one."""
        plain = self.plain()
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
        # rare line breaks (NEL, U+2028) come back as others unless escaped, and some characters act on a terminal
        if yaml.safe_load(text) != plain or safe_lines(text) != text:
            text = yaml.safe_dump(plain, sort_keys=False, width=100)
        return text

    def flags(self) -> list[str]:
        """The command line's words after `invivo compare`."""
        words = [self.prompt]
        for stack in self.tweaks:
            words += ["--tweak", str(stack)]
        for name, text in self.prompts.items():
            words += ["--prompt", f"{name}={text}"]
        for flag, value in (
            ("--target", self.target),
            ("--wrong", self.wrong),
            ("--read-text", self.read),
            ("--revision", self.revision),
            ("--dtype", self.dtype),
        ):
            words += [] if value is None else [flag, value]
        plain, default = self.decoding, Decoding()
        if plain.do_sample:
            words += ["--sample"]
        for field in ("temperature", "top_k", "top_p", "num_beams", "max_new_tokens"):
            if getattr(plain, field) != getattr(default, field):
                value = getattr(plain, field)
                words += [
                    "--" + field.removeprefix("num_").replace("_", "-"),
                    number_text(value) if isinstance(value, float) else str(value),
                ]
        for field in ("seed", "model", "top"):
            if getattr(self, field) != type(self).model_fields[field].default:
                words += [f"--{field}", str(getattr(self, field))]
        return words

    def to_cli(self, allowed: Sequence[str] = ()) -> str:
        """The command that runs it. `allowed` is what loading the model asks for: pickle, remote-code."""
        words = [*self.flags(), *(f"--allow-{what}" for what in allowed)]
        ordered = [*words[1:], "--", words[0]] if words[0].startswith("-") else words
        return shell.join(["invivo", "compare", *ordered])

    def to_python(self, allowed: Sequence[str] = ()) -> str:
        """The Python that runs it and prints the result; `allowed` as for `to_cli`."""
        plain = self.plain()
        plain["tweaks"] = [str(s) for s in self.tweaks]
        lines = "".join(f"    {key}={value!r},\n" for key, value in plain.items())
        allow = "".join(f", allow_{what.replace('-', '_')}=True" for what in allowed)
        return f"import invivo\n\nresult = invivo.run(invivo.Experiment.of(dict(\n{lines})){allow})\nprint(result)\n"

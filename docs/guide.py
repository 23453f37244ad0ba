"""The guide in order, as a page: each section with why it is there, its labs, and how to run them."""

from __future__ import annotations

from pages import page_of, set_as_text

from invivo.experiment import Lab
from invivo.labs import SECTIONS, all_labs

HEAD = """\
# The guide

*How modern LLMs work*, in eleven sections of labs and the next layers. In a lab you change one thing inside a living
model and see what follows. It takes ten minutes to read and seconds to run, on any laptop, without a network.

In a hurry? The checklist is three labs, `invivo quickstart`: blank a slice of the embeddings, switch off a head, turn
up the temperature. The same guide is a [notebook](guide.ipynb) for Jupyter and Colab.
"""
WITHOUT_A_LAB = {
    10: """\
An experiment is plain data: prompt, tweaks, answers to measure, decoding, seed, model. It can be said four ways, and
each gives the same numbers:

```sh
invivo compare "Once upon a time" --tweak "zero head 3.5"
invivo compare "Once upon a time" --tweak "zero head 3.5" --as yaml
invivo compare "Once upon a time" --tweak "zero head 3.5" --as python
invivo config show
```

What holds for every run, such as temperature or the number of tokens, can stand in a `config.yaml`; `invivo config
init` writes one with every setting explained. A lab prints BASE, then TWEAK, then what lies between them, whoever
called it.
""",
}
AFTER = "[The glossary](glossary.md) explains the words, and [a lab of your own](own-lab.md) is one file."


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for section in SECTIONS:
        parts += [f"## §{section.number} {set_as_text(section.title)}", set_as_text(section.why)]
        parts += [part for lab in all_labs() if lab.section == section.number for part in lab_part(lab)]
        if section.number in WITHOUT_A_LAB:
            parts.append(WITHOUT_A_LAB[section.number])
    return "\n\n".join(part.strip() for part in (*parts, AFTER)) + "\n"


def lab_part(lab: Lab) -> list[str]:
    """A lab in short: what it asks, what is run after the comparison, and the command."""
    title = f"{lab.number} · {set_as_text(lab.title)}"
    there = page_of(lab)
    parts = [f"### [{title}](labs/{there.name})" if there.exists() else f"### {title}", set_as_text(lab.why)]
    if lab.steps:
        parts.append("After the comparison: " + " · ".join(set_as_text(step.title) for step in lab.steps) + ".")
    return [*parts, f"```sh\ninvivo run {lab.number}\n```"]

"""The table of labs and families: what of each lab a model of each family has, and what it cannot have, and why.

python docs/families.py          run the labs that are new or have changed since the table was written
python docs/families.py --all    run all of them again (minutes)
python docs/families.py --steps  with their steps, too (an hour): what of a lab a model cannot have
python docs/families.py --check  run nothing; exit 1 where the page is not what the table says

The runs are those of the tests (`tests/walk.py`): labs made short, on random models. They go to `families.json`, and
`docs/families.md` is made of that.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from pages import DOCS, page_of, recipe_digest, set_as_text, words_digest, write

from invivo.labs import all_labs

sys.path.insert(0, str(DOCS.parent))  # for tests/

TABLE, PAGE = DOCS / "families.json", DOCS / "families.md"
LAB_SAYS = re.compile(r"^lab \d\d was written for fruitfly: ")
HEAD = """\
# Labs and models

Every lab is written for fruitfly and runs on any causal language model whose parts can be found. Here the comparison of
each, made short, is run on a small random model of every family: ✓ it runs, ✗ it cannot, and the reason stands below.
A step that a model cannot have is left out, and the lab says why in one line and goes on; ◐ marks a lab of which that
is known.

What a lab names for fruitfly, such as a head, is looked for on the other model, and the result says what was found.
*gpt2 reading letters* is a model whose tokens are single bytes: no answer is one token.

Written by `python docs/families.py`; the tests hold every cell.
"""


def read() -> dict[str, Any]:
    """The table as data."""
    return json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {"models": [], "labs": {}, "of": {}}


def page(table: dict[str, Any]) -> str:
    """The table as Markdown, and the reasons below it, each with the models that it is said of."""
    labs = sorted((lab for lab in all_labs() if lab.full_name in table["labs"]), key=lambda lab: lab.number)
    numbers = [f"[{lab.number}](labs/{page_of(lab).name})" if page_of(lab).exists() else lab.number for lab in labs]
    lines = [["model", *numbers], ["---", *(":-:" for _ in labs)]]
    lines += [
        [model, *(mark(table["labs"][lab.full_name].get(model, {})) for lab in labs)] for model in table["models"]
    ]
    parts = [HEAD, "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    for lab in labs:
        why: dict[tuple[str, str], list[str]] = {}
        for model, told in table["labs"][lab.full_name].items():
            said = [("", told["refused"])] if "refused" in told else list(told.get("without", {}).items())
            for step, reason in said:
                why.setdefault((step, plainly(reason, model)), []).append(model)
        if why:
            parts.append(f"## Lab {lab.number} · {set_as_text(lab.title)}")
            titles = {step.name: step.title for step in lab.steps} | {"": "The whole lab"}
            parts.append(
                "\n".join(
                    f"- *{set_as_text(titles[step])}*: {set_as_text(reason)} ({', '.join(models)})"
                    for (step, reason), models in why.items()
                )
            )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def plainly(reason: str, model: str) -> str:
    """A reason without the names of one model, so that what is said of several is said once."""
    return re.sub(rf"\b(\w+ForCausalLM|{re.escape(model)})\b", "it", LAB_SAYS.sub("", reason))


def mark(told: dict[str, Any]) -> str:
    """One cell."""
    return "✗" if "refused" in told else "◐" if told else "✓"


def main(words: list[str]) -> int:
    """Write the table and its page, or with --check say whether the page is stale."""
    table = read()
    if "--check" in words:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page(table))
    from tests.walk import LABS, MODELS, broken, cell

    made = {name: f"{words_digest(lab)} {recipe_digest(lab)}" for name, lab in LABS.items()}
    known = table["models"] == list(MODELS) and not {"--all", "--steps"} & set(words)
    keep = {name for name in LABS if known and table.get("of", {}).get(name) == made[name]}
    found: dict[str, dict[str, Any]] = {name: {} for name in LABS if name not in keep}
    for model in MODELS if found else ():
        sys.stderr.write(f"running {len(found)} labs on {model} …\n")
        for name, cells in found.items():
            told = cell(model, name, "--steps" in words)
            if false := broken(model, name, "--steps" in words):
                sys.stderr.write(f"error: on {model}, lab {name[:2]} claims what is false: {'; '.join(false)}\n")
                return 1
            if told:
                cells[model] = told
    labs = {name: table["labs"][name] if name in keep else found[name] for name in LABS}
    new = {"models": list(MODELS), "of": made, "labs": labs}
    write(TABLE, json.dumps(new, indent=1, ensure_ascii=False) + "\n")
    write(PAGE, page(new))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

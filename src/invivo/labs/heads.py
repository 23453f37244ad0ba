"""What the labs on heads share: which head an experiment is about, and strings said twice to try it on."""

from __future__ import annotations

from ..errors import BadText
from ..experiment import Case, Experiment
from ..tweaks import Activation

# Rare names in a list that begins again: nothing but the first round tells how the second one goes on.
TWICE = (
    ("They called Garro, Wendle, Pisk, Lumo. They called Garro, Wendle, Pisk,", " Lumo"),
    ("The names are Bolda, Kerrin, Mupp, Sindo. The names are Bolda, Kerrin,", " Mupp"),
    ("They called Prindo, Hulda, Vemir, Orlan. They called Prindo, Hulda, Vemir,", " Orlan"),
    ("The names are Fenna, Tasser, Quill, Orbo. The names are Fenna, Tasser, Quill,", " Orbo"),
    ("They called Dombrick, Sella, Tarrik. They called Dombrick, Sella,", " Tarrik"),
    ("The names are Lasko, Brimsa, Kelda, Marlo. The names are Lasko, Brimsa,", " Kelda"),
    ("They called Bessom, Vorn, Ulric, Zimba. They called Bessom, Vorn, Ulric,", " Zimba"),
    ("The names are Moltar, Sindra, Gwill, Pando. The names are Moltar, Sindra,", " Gwill"),
    ("They called Kedrono, Wusto, Tolva, Brimsa. They called Kedrono, Wusto, Tolva,", " Brimsa"),
    ("Mr. Dombrick had a dog. One morning Mr. Dom", "brick"),
)
TRIED = tuple(Case(prompt=prompt, target=target) for prompt, target in TWICE)
# Lists in which the same name comes next: for a control, whose target stays.
ANSWER = " Wusto"
SAME_ANSWER = (
    "They called Garro, Pisk, Wusto, Lumo. They called Garro, Pisk,",
    "The names are Bolda, Kerrin, Mupp, Wusto. The names are Bolda, Kerrin, Mupp,",
    "They called Prindo, Hulda, Wusto, Vemir. They called Prindo, Hulda,",
    "The names are Fenna, Tasser, Wusto, Orbo. The names are Fenna, Tasser,",
    "They called Brimsa, Tolva, Kedrono, Wusto. They called Brimsa, Tolva, Kedrono,",
)


def head_in(e: Experiment) -> tuple[int, int]:
    """Layer and head that the last tweak with a single head is about. Raises BadText where there is none."""
    for stack in reversed(e.tweaks):
        for tweak in stack:
            if isinstance(tweak, Activation) and tweak.place.layer is not None:
                heads = tweak.place.heads or ""
                if heads.lstrip("-").isdigit():
                    return tweak.place.layer, int(heads)
    raise BadText("no tweak here names a single head")


def metric_for(e: Experiment) -> str:
    """The target's log-probability where there is a target, else how far the next prediction moved."""
    return "kl_next" if e.target is None else "target"


def same_answer(e: Experiment) -> tuple[str, ...]:
    """Other prompts with the experiment's target for an answer; none where the target is the reader's own."""
    return SAME_ANSWER if e.target == ANSWER else ()


def team_in(e: Experiment) -> tuple[str, ...]:
    """The lines of the last row, one head each, as many as there are."""
    return tuple(str(tweak) for tweak in e.tweaks[-1])

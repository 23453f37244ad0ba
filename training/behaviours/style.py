"""Style: how many commas the model writes after either of two openers.

Only what follows the opener counts, since the opener itself has commas in one of the registers. Commas are all that is
counted; the registers differ in the length of sentences too.
"""

from __future__ import annotations

from ..generator import items
from ..generator.item import Item
from .behaviour import Bar, Behaviour, Found, Subject
from .english import WORD
from .sampling import continued

NUMBER, TOKENS = 100, 40


def counted(items: list[Item], texts: list[str], register: str) -> tuple[int, int]:
    """Commas and words of all texts in one register, from the opener's end on."""
    whole = [i.prompt.split(":", 1)[1] + t for i, t in zip(items, texts, strict=True) if i.form == register]
    return sum(text.count(",") for text in whole), sum(len(WORD.findall(text)) for text in whole)


def figures(items: list[Item], texts: list[str]) -> dict[str, float]:
    """Commas per word in both registers and their ratio. One comma more is counted in the plain one: none is no 0."""
    (commas, words), (few, plain) = (counted(items, texts, register) for register in ("commas", "plain"))
    if not words or not plain:
        return {"ratio": float("nan")}
    return {
        "ratio": (commas / words) / ((few + 1) / plain),
        "commas_per_word": commas / words,
        "commas_per_word_plain": few / plain,
    }


def measure(subject: Subject, number: int = NUMBER) -> Found:
    """Commas in what the model goes on to write."""
    asked = items("style", "test", number, seed=1)
    return Found(figures(asked, continued(subject, [item.prompt for item in asked], TOKENS, seed=1)))


STYLE = Behaviour(
    asked=f"{NUMBER} held-out story openings in two registers, {TOKENS} tokens at temperature 0.8: commas per word in "
    "the register that is rich in them over the plain one",
    bars=(Bar("ratio", at_least=2.0),),
    measure=measure,
)

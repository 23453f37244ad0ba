"""Hand-made results, for tests of what is shown: no model, no torch."""

from __future__ import annotations

from typing import Any

from invivo.experiment import Candidate, Comparison, Experiment, Run, TweakRun
from invivo.pictures import Bars, Heatmap, Lines, Picture, Series
from invivo.tweaks import Stack

PROMPT = ("When", " Mary", " and", " John", " went", " to", " the", " store", ",", " John", " gave", " a drink", " to")
SAID = (
    " Mary",
    ".",
    " She",
    " was",
    " very",
    " thirsty",
    ",",
    " and",
    " she",
    " drank",
    " it",
    ".",
    "\n",
    "Then",
    " home",
)
OTHER = (
    " Mary",
    ".",
    " She",
    " was",
    " very",
    " happy",
    ",",
    " for",
    " it",
    " was",
    " cold",
    "\n",
    "and",
    " John",
    ".",
)
HOSTILE = "<script>alert(1)</script> | `x` {{ site.title }} {% raw %} [bold]red[/] *a* \x1b[31m \u202egnp.exe $x$ &amp;"


def ids(tokens: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(sum(map(ord, token)) for token in tokens)


def row(tokens: tuple[str, ...], positions: int, shift: float = 0.0) -> dict[str, Any]:
    """A Run's fields; `shift` is how far from BASE it is: 0.31 takes 31 % from " Mary" and gives it to " John"."""
    odds = (
        (" Mary", 0.62, 0.62 - shift),
        (" John", 0.11, 0.11 + shift),
        (" the", 0.05, 0.05),
        (" her", 0.041, 0.03),
        ("\n", 0.012, 0.013),
        ("\\xf0", 0.0003, 0.0),
    )
    return dict(
        text="".join(tokens),
        ids=ids(tokens),
        tokens=tokens,
        said_nats=tuple(-0.1 - 0.07 * (i % 9) for i in range(len(tokens))),
        choice_entropy_nats=(0.0,) * len(tokens),
        entropy_nats=tuple(1 + shift + (i * 7 % 5) / 3 for i in range(positions)),
        perplexity=3.21 + 4 * shift,
        target_nats=-0.48 - shift,
        read_perplexity=21.4 * (1 + 3 * shift),
        next=tuple(Candidate(id=i, text=text, base=base, tweak=tweak) for i, (text, base, tweak) in enumerate(odds)),
    )


def comparison(
    *tweaks: str,
    prompt: tuple[str, ...] = PROMPT,
    base: tuple[str, ...] = SAID,
    said: tuple[str, ...] = OTHER,
    strength: float = 0.31,
    **recipe: Any,
) -> Comparison:
    """BASE and a row for each tweak, each further away than the one before, the last one by `strength`."""
    tweaks = tweaks or ("zero head 3.5",)
    positions = len(prompt) + len(base)
    parted = next((i for i, (a, b) in enumerate(zip(base, said, strict=False)) if a != b), None)
    rows = []
    for number, tweak in enumerate(tweaks, 1):
        shift = strength * number / len(tweaks)
        rows.append(
            TweakRun(
                **row(said, positions, shift),
                tweak=Stack.of(tweak),
                first_divergence=parted,
                kl_nats=tuple(shift * (2.5 if i == len(prompt) - 1 else (i * 5 % 7) / 9) for i in range(positions)),
                top_changed=tuple(i % 4 == 0 and shift > 0 for i in range(positions)),
            )
        )
    return Comparison(
        recipe=Experiment.of({"prompt": "".join(prompt), "tweaks": list(tweaks), "target": " Mary"} | recipe),
        prompt_ids=ids(prompt),
        prompt_tokens=prompt,
        base=Run(**row(base, positions)),
        tweaks=tuple(rows),
        versions={"invivo": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        revision="0123456789abcdef",
        device="cpu, float32",
        seconds=0.84,
    )


def pictures() -> dict[str, Picture]:
    """One of every kind and shape of picture."""
    tokens = ("Once", "upon", "a", "time", "there", "was", "a", "girl", "who", "lived", "in", "a", "house", "by", "sea")
    two = (
        Series(name="BASE", role="base", values=(62.0, 9.25, 0.3)),
        Series(name="TWEAK zero head 3.5", role="tweak", values=(31.0, 44.2, None)),
    )
    dose = (
        Series(name="BASE", role="base", values=(21.0,) * 4),
        Series(
            name="TWEAK", role="tweak", values=(None, 22.5, 41.0, 180.2), low=(21, 21, 38, 150), high=(21, 24, 44, 210)
        ),
    )
    wave = tuple(round(abs((i * 37 % 23) / 10 - 1), 3) for i in range(len(tokens)))
    return {
        "bars": Bars(
            title="Next token",
            summary="Lowers ' Mary' from 62 % to 31 %.",
            unit="probability, %",
            labels=("·Mary", "·John", "<script>"),
            series=two,
        ),
        "signed": Bars(
            title="Effect",
            summary="Down by 1.9.",
            labels=("0.1", "3.5"),
            unit="nats",
            series=(Series(name="effect", values=(0.1, -1.9), low=(0.0, -2.2), high=(0.2, -1.5)),),
        ),
        "dose": Lines(
            title="Dose",
            summary="Rises to 180.",
            x=(0, 1, 2, 3),
            x_labels=("BASE", "0:16", "0:32", "0:64"),
            x_name="zero embed dims …",
            y_name="perplexity",
            series=dose,
        ),
        "many": Lines(
            title="KL by position",
            summary="Most after 'time'.",
            x=tuple(map(float, range(len(tokens)))),
            x_labels=tokens,
            x_name="token",
            y_name="KL, nats",
            series=(Series(name="TWEAK", role="tweak", values=wave),),
        ),
        "numeric": Lines(
            title="Strength",
            summary="Falls.",
            x=(0.0, 0.5, 1.0),
            x_name="strength",
            y_name="effect, nats",
            series=(Series(name="TWEAK", role="tweak", values=(0.0, None, -1.25)),),
        ),
        "heat": Heatmap(
            title="By layer and head",
            summary="Head 1.2 moves it most.",
            rows=("layer 0", "layer 1"),
            columns=("0", "1", "2"),
            values=((0.01, None, 0.2), (0.05, 0.4, 0.85)),
            row_name="layer",
            column_name="head",
            unit="nats",
        ),
        "diverging": Heatmap(
            title="TWEAK minus BASE",
            summary="Both ways.",
            rows=("0", "1"),
            columns=("a", "b"),
            values=((1.5, -0.4), (0.0, -1.5)),
            row_name="layer",
            column_name="token",
            unit="nats",
            diverging=True,
        ),
    }

"""How far back a name may stand and still be found: a needle in a haystack (after Kamradt 2023), with its control."""

from __future__ import annotations

import math

import torch
from pydantic import Field

from ...errors import OutOfRange
from ...experiment.trials import interval
from ...pictures import Lines, Series
from ...show.blocks import Figure, Table
from ...show.text import number
from ...spec import Spec
from ..living import Living
from . import Found, Kind

NAMES = ("Dombrick", "Marlow", "Hankley", "Bessom", "Tasker", "Pendle", "Garrick", "Wendle")
FILLER = (
    "The wind came down from the hills and shook the old trees along the river. In the village the people shut their "
    "doors and lit their lamps. A farmer brought his cows into the barn and gave them hay. His wife put bread and soup "
    "on the table, and the children sat down by the fire. Outside it began to rain. The water ran over the stones and "
    "into the ditch, and soon the road was dark and wet. A cart came slowly up the hill with two sacks of flour and a "
    "basket of apples. The man who drove it sang a song to his horse, for the horse did not like the storm. When they "
    "reached the inn, the landlady opened the gate and called for a boy to take the wet horse to the stable. The man "
    "hung his coat near the stove and asked for something hot to drink. There were five other guests in the room. One "
    "was a soldier with a long grey beard, one was a tailor, and three were sisters who sold ribbons at the fair. They "
    "talked about the weather and the price of wool until the clock struck ten. Then each of them took a candle and "
    "went up the stairs to bed. In the night the rain stopped. In the morning the sun stood bright above the fields, "
    "and every leaf was shining. The birds sang in the hedge, and the river was brown and loud under the bridge. The "
    "soldier was the first to leave. He had far to go, and he wanted to be at the sea before the end of the week. The "
    "sisters counted their ribbons, the red ones and the blue ones and the green ones, and packed them into a box. The "
    "tailor slept until noon. When he came down, the room was empty, and a cat was sitting on the best chair. He paid "
    "for his bed and his supper, put his needles into his pocket, and asked the way to the next town. It was a long "
    "road, they told him, but there were plums on the trees beside it, and nobody would mind if he ate some."
)


class Settings(Spec):
    """How far apart, and which names."""

    lengths: tuple[int, ...] = Field(default=(0, 32, 64, 128, 256, 384), min_length=1)
    """How many tokens stand between a name and the question for it."""
    count: int = Field(default=len(NAMES), ge=2, le=len(NAMES))
    """How many names are tried."""


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """Probability of a name's last piece, by how far back it was said, and with another name said there."""
    filler = living.tokenizer(FILLER, add_special_tokens=False, verbose=False).input_ids
    names = NAMES[: settings.count]
    asked = [_asked(living, name) for name in names]
    longest = max(len(before) + len(after) for before, after, _ in asked)
    lengths = [n for n in sorted(set(settings.lengths)) if n <= min(len(filler), living.anatomy.context - longest)]
    if not lengths or min(lengths) < 0:
        raise OutOfRange(
            f"no such distance: {living.name} reads {living.anatomy.context:,} tokens, the filler has {len(filler):,}",
            hint="give lengths from 0 on that fit",
        )
    there, other = list[list[float]](), list[list[float]]()
    with living.alone("capture"):
        for length in lengths:
            said, unsaid = list[float](), list[float]()
            for n, (before, after, target) in enumerate(asked):
                elsewhere = asked[(n + 1) % len(asked)][0]
                for found, first in ((said, before), (unsaid, elsewhere)):
                    ids = torch.tensor([[*first, *filler[:length], *after]], device=living.device)
                    logits = living.hf(input_ids=ids, use_cache=False).logits[0, -1].float()
                    found.append(float(logits.softmax(-1)[target]))
            there.append(said)
            other.append(unsaid)
    spots, blanks = [interval(x) for x in there], [interval(x) for x in other]
    numbers: dict[str, float] = {"names": len(names)}
    for length, spot, blank in zip(lengths, spots, blanks, strict=True):
        numbers |= {f"said_{length}": spot.mean, f"other_{length}": blank.mean}
    sentence = (
        f"From {lengths[-1]} tokens back a name is completed with {_percent(spots[-1].mean)} on average; where another "
        f"name was said there, with {_percent(blanks[-1].mean)}."
    )
    picture = Lines(
        title="A name, by how far back it was said",
        summary=sentence,
        x=tuple(map(float, lengths)),
        x_name="tokens between",
        y_name="probability of its last piece",
        series=(
            Series(
                name="the name was said",
                role="tweak",
                values=tuple(s.mean for s in spots),
                low=tuple(s.low for s in spots),
                high=tuple(s.high for s in spots),
            ),
            Series(name="another name was said", role="base", values=tuple(s.mean for s in blanks)),
        ),
    )
    table = Table(
        columns=("name", *(f"{n} between" for n in lengths)),
        rows=(
            *(
                (name, *(_percent(column[n]) for column in there))
                for n, name in enumerate(_barred(living, name, asked[n][2]) for n, name in enumerate(names))
            ),
            ("mean", *(_percent(s.mean) for s in spots)),
            ("mean, another name said", *(_percent(s.mean) for s in blanks)),
        ),
        caption="Probability of the part behind the bar, after “One morning Mr.” and the part before the bar.",
    )
    return Found(sentence, (Figure(picture=picture, name="far-fact"), table), numbers)


def _asked(living: Living, name: str) -> tuple[list[int], list[int], int]:
    """Ids of the sentence that says the name, ids of the question up to its last token, and that token."""
    question = living.encode(f" One morning Mr. {name}", special=False)
    return living.encode(f"Mr. {name} had a dog."), question[:-1], question[-1]


def _barred(living: Living, name: str, target: int) -> str:
    """The name with a bar in front of what is asked for."""
    last = living.piece(target).text.strip()
    return f"{name.removesuffix(last)}|{last}"


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{number(100 * value, 0 if value >= 0.0995 or value == 0 else 1)} %"


EXHIBIT = Kind("A fact from far back", Settings, show)

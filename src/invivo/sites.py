"""Names of places in the forward pass, the axes of what is found there, and how a place is written.

Axes, used in every comment and docstring of the package:

    B  batch rows      T  positions (queries)    S  positions attended to (keys)    D  residual width
    H  heads           K  head width             F  MLP width                       V  vocabulary      L  layers

    tokens ─▶ embed (+ pos_embed) ─▶ resid_pre ─┬─▶ norm ─▶ q k v ─▶ scores ─▶ pattern ─▶ z ─▶ attn_out ─▶(+)
                                                └──────────────────────────────────────────────────────────┘
              resid_mid ─┬─▶ norm ─▶ mlp_pre ─▶ mlp_post ─▶ mlp_out ─▶(+)
                         └────────────────────────────────────────────┘
              resid_post ─▶ (next block) … ─▶ final_norm ─▶ logits

The short names are those of TransformerLens (Nanda & Bloom 2022), and its full hook names (`blocks.3.attn.hook_z`)
are read as the same places. A model may lack some (a parallel block has no resid_mid); those are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ModelWrapValidatorHandler, model_serializer, model_validator

from .errors import BadText, OutOfRange, unknown
from .spec import Spec, Spelling


@dataclass(frozen=True)
class Site:
    """One kind of place. `axes` are those of its activation; `hook` is TransformerLens' name for it."""

    name: str
    axes: tuple[str, ...]
    layered: bool
    hook: str
    what: str

    @property
    def has_heads(self) -> bool:
        """Whether the activation is split by attention head."""
        return "H" in self.axes

    @property
    def unit_axis(self) -> str:
        """The letter of the last axis: what `dims` or `neurons` count."""
        return self.axes[-1]


SITES: dict[str, Site] = {
    site.name: site
    for site in (
        Site("embed", ("B", "T", "D"), False, "hook_embed", "token embeddings, as the first block receives them"),
        Site(
            "pos_embed",
            ("B", "T", "D"),
            False,
            "hook_pos_embed",
            "learned position embeddings (rotary models have none)",
        ),
        Site("resid_pre", ("B", "T", "D"), True, "hook_resid_pre", "the residual stream as it enters a block"),
        Site("q", ("B", "T", "H", "K"), True, "attn.hook_q", "queries as attention compares them (after any rotation)"),
        Site(
            "k", ("B", "S", "H", "K"), True, "attn.hook_k", "keys as attention compares them; H counts key-value heads"
        ),
        Site("v", ("B", "S", "H", "K"), True, "attn.hook_v", "values; H counts key-value heads"),
        Site(
            "scores", ("B", "H", "T", "S"), True, "attn.hook_attn_scores", "scaled q·k before the softmax; masked after"
        ),
        Site("pattern", ("B", "H", "T", "S"), True, "attn.hook_pattern", "attention weights; each row sums to 1"),
        Site("z", ("B", "T", "H", "K"), True, "attn.hook_z", "each head's mix of values, before the output projection"),
        Site("attn_out", ("B", "T", "D"), True, "hook_attn_out", "what attention adds to the residual stream"),
        Site("resid_mid", ("B", "T", "D"), True, "hook_resid_mid", "the residual stream between attention and MLP"),
        Site("mlp_pre", ("B", "T", "F"), True, "mlp.hook_pre", "neurons before the activation function"),
        Site("mlp_post", ("B", "T", "F"), True, "mlp.hook_post", "neurons as the MLP's output projection reads them"),
        Site("mlp_out", ("B", "T", "D"), True, "hook_mlp_out", "what the MLP adds to the residual stream"),
        Site("resid_post", ("B", "T", "D"), True, "hook_resid_post", "the residual stream as it leaves a block"),
        Site(
            "final_norm",
            ("B", "T", "D"),
            False,
            "ln_final.hook_normalized",
            "the stream after the last norm: the head's input",
        ),
        Site("logits", ("B", "T", "V"), False, "hook_logits", "one score per vocabulary entry, before the softmax"),
    )
}

LISTED_BY = "invivo sites"
HOOKS = {site.hook: site for site in SITES.values()}
SAID = {  # what people say, and how a place of it is written
    "head": "head 3.5",
    "neuron": "neuron 4.123",
    "positions": "positions",
    "resid": "resid 2",
    "residual": "resid 2",
    "embedding": "embed",
    "attention": "L3.attn_out",
    "mlp": "L3.mlp_out",
}


def site_named(name: str) -> Site:
    """The site of that short name. Raises UnknownName with the nearest spelling."""
    if name not in SITES:
        raise unknown("site", name, SITES, LISTED_BY, SAID)
    return SITES[name]


# ── index sets: "5", "0:64", "1,4,7:", "-1" ──────────────────────────────────────────────────────────────────────────

_PART = r"-?\d+:-?\d+|-?\d+:|:-?\d+|:|-?\d+"
INDICES_PATTERN = rf"(?:{_PART})(?:,(?:{_PART}))*"


def canonical_indices(text: str) -> str:
    """An index set as it is kept: no blanks, no leading zeros. Raises BadText when it is not one."""
    tight = text.replace(" ", "")
    if not re.fullmatch(INDICES_PATTERN, tight):
        raise BadText(f"{text!r} is not a set of indices", hint="write 5, or 0:64 (64 not included), or 1,4,7:9, or -1")
    return re.sub(r"-?\d+", lambda m: str(int(m[0])), tight)


def index_list(text: str, size: int, what: str, where: str = "", *, as_written: bool = False) -> list[int]:
    """The indices that `text` names among `size` things called `what` (say "head").

    Negative ones count from the end; a range's end is not included and may be left out. Sorted and each once, unless
    `as_written`. Raises OutOfRange with the range there is.
    """
    chosen: list[int] = []
    for part in text.split(","):
        low, colon, high = part.partition(":")
        if not colon:
            index = int(low)
            if not -size <= index < size:
                raise OutOfRange(f"{what} {index} does not exist{where}: there are {size}, 0 to {size - 1}")
            chosen.append(index % size)
            continue
        start = int(low) if low else 0
        stop = int(high) if high else size
        if not (-size <= start <= size and -size <= stop <= size):
            raise OutOfRange(f"{what}s {part} do not exist{where}: there are {size}, 0 to {size - 1}")
        chosen.extend(range(start + size * (start < 0), stop + size * (stop < 0)))
    return chosen if as_written else sorted(set(chosen))


@dataclass(frozen=True)
class Positions:
    """Which absolute positions an `at` names, once the prompt's length is known. The end may be open."""

    single: frozenset[int]
    spans: tuple[tuple[int, int | None], ...]

    @classmethod
    def of(cls, text: str, prompt_length: int) -> Self:
        """Read `text`; negative positions count from the end of the prompt."""
        single: set[int] = set()
        spans: list[tuple[int, int | None]] = []

        def absolute(piece: str) -> int:
            value = int(piece)
            if value < -prompt_length:
                raise OutOfRange(f"position {value} does not exist: the prompt has {prompt_length} tokens")
            return value + prompt_length if value < 0 else value

        for part in text.split(","):
            low, colon, high = part.partition(":")
            if colon:
                spans.append((absolute(low) if low else 0, absolute(high) if high else None))
            else:
                single.add(absolute(low))
        return cls(frozenset(single), tuple(spans))

    def __contains__(self, position: int) -> bool:
        return position in self.single or any(a <= position and (b is None or position < b) for a, b in self.spans)

    def within(self, first: int, end: int) -> list[int]:
        """Those of the positions from `first` to before `end` that are named, in order."""
        if not self.spans:
            return sorted(p for p in self.single if first <= p < end)
        return [p for p in range(first, end) if p in self]


INDICES = Spelling(INDICES_PATTERN, canonical_indices, str, "INDICES", "0:64")
Indices = Annotated[str, AfterValidator(canonical_indices), INDICES]


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Place(Spec):
    """A site, the layer it is in, and which part of it: heads, units (neurons or dims), positions, keys.

    Written `L3.z heads 5 at 2`; shorter where people have a shorter name: `head 3.5`, `neuron 4.123`, `positions`.
    """

    site: str
    """Short name of the site."""
    layer: int | None = None
    """Layer, from 0; negative from the end; none for sites that are not in a block."""
    heads: Indices | None = None
    """Which heads; all when left out."""
    units: Indices | None = None
    """Which neurons (mlp_pre, mlp_post) or dimensions; all when left out."""
    at: Indices | None = None
    """Which absolute positions (queries, for scores and pattern); all when left out."""
    keys: Indices | None = None
    """Which positions attended to: scores and pattern only."""

    @model_validator(mode="wrap")
    @classmethod
    def _from_text(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, str):
            data = read_place(data)
        return handler(data)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        site = site_named(self.site)
        if site.layered != (self.layer is not None):
            example = f"L3.{self.site}" if site.layered else self.site
            raise BadText(
                f"{self.site} {'needs a layer' if site.layered else 'is in no layer'}", hint=f"write {example}"
            )
        if self.heads is not None and not site.has_heads:
            raise BadText(f"{self.site} is not split by head", hint="sites with heads: q k v scores pattern z")
        if self.keys is not None and self.site not in ("scores", "pattern"):
            raise BadText(
                f"{self.site} has no keys", hint="`keys` goes with scores and pattern; positions go after `at`"
            )
        if self.units is not None and self.site in ("scores", "pattern"):
            raise BadText(f"{self.site} has no dims", hint="choose `heads`, `at` (queries) and `keys`")
        return self

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    @property
    def kind(self) -> Site:
        """The site's description."""
        return SITES[self.site]

    @property
    def unit_word(self) -> str:
        """What its units are called: neurons or dims."""
        return "neurons" if self.site.startswith("mlp_p") else "dims"

    def __str__(self) -> str:
        heads, units = self.heads, self.units
        if self.site == "z" and heads is not None and units is None:
            text, heads = f"head {self.layer}.{heads}", None
        elif self.site == "mlp_post" and units is not None:
            text, units = f"neuron {self.layer}.{units}", None
        elif self.site == "pos_embed":
            text = "positions"
        else:
            text = self.site if self.layer is None else f"L{self.layer}.{self.site}"
        for word, value in (("heads", heads), (self.unit_word, units), ("at", self.at), ("keys", self.keys)):
            text += "" if value is None else f" {word} {value}"
        return text


_HEADS = {  # the opening of a place -> the fields it stands for
    rf"heads?\s+(?P<layer>-?\d+)\.(?P<heads>{INDICES_PATTERN})": {"site": "z"},
    rf"neurons?\s+(?P<layer>-?\d+)\.(?P<units>{INDICES_PATTERN})": {"site": "mlp_post"},
    r"resid\s+(?P<layer>-?\d+)": {"site": "resid_pre"},
    r"positions": {"site": "pos_embed"},
    r"L(?P<layer>-?\d+)\.(?P<site>\w+)": {},
    r"blocks\.(?P<layer>-?\d+)\.(?P<hook>[\w.]+)": {},
    r"(?P<hook>hook_\w+|ln_final\.hook_\w+)": {},
    r"(?P<site>[A-Za-z_]\w*)": {},
}
_TAIL = re.compile(rf"\s+(heads?|neurons?|dims?|at|keys?)\s+({INDICES_PATTERN})", re.IGNORECASE)
_FIELD = {"head": "heads", "neuron": "units", "dim": "units", "at": "at", "key": "keys"}


def read_place(text: str) -> dict[str, Any]:
    """A place's fields from its text. Raises BadText or UnknownName."""
    text = text.strip()
    if re.match(r"(head|neuron)s?\b", text, re.IGNORECASE) and not re.match(r"\w+\s+-?\d+\.[-\d:]", text):
        word = text.split()[0].lower().rstrip("s")
        raise BadText(f"cannot read the place {text!r}", hint=f"a {word} is written LAYER.INDEX, as in `{word} 3.5`")
    for pattern, fixed in _HEADS.items():
        opening = re.match(pattern + r"(?=\s|$)", text, re.IGNORECASE)
        if opening is None:
            continue
        fields: dict[str, Any] = fixed | {k: v for k, v in opening.groupdict().items() if v is not None}
        if "hook" in fields:
            hook = fields.pop("hook")
            if hook not in HOOKS:
                raise unknown("hook", hook, HOOKS, LISTED_BY)
            fields["site"] = HOOKS[hook].name
        if "layer" in fields:
            fields["layer"] = int(fields["layer"])
        site_named(fields["site"])
        at = opening.end()
        while at < len(text):
            found = _TAIL.match(text, at)
            if found is None:
                raise BadText(
                    f"cannot read {text[at:].strip()!r} in the place {text!r}",
                    hint="after the site come `heads`, `neurons` or `dims`, `at`, `keys`, each with indices",
                )
            field = _FIELD[found[1].lower().rstrip("s")]
            if field in fields:
                raise BadText(f"{found[1]!r} is given twice in {text!r}")
            fields[field] = found[2]
            at = found.end()
        return fields
    raise BadText(
        f"cannot read the place {text!r}",
        hint="a place is `head 3.5`, `neuron 4.123`, `embed dims 0:64`, `L3.resid_pre at 5`, `positions` …",
    )


PLACE = Spelling(r".+?", read_place, str, "PLACE", "head 3.5")
APlace = Annotated[Place, PLACE]


def places_example() -> Iterator[str]:
    """One example of every way to write a place: for docs and tests."""
    yield from (
        "head 3.5",
        "head 3.0:4",
        "neuron 4.123",
        "resid 2",
        "positions",
        "embed dims 0:64",
        "L3.pattern heads 5 at 7 keys 0",
        "L1.q heads 2 dims 0:8",
        "L3.resid_pre at 5",
        "blocks.3.attn.hook_z",
        "logits",
        "final_norm at -1",
    )

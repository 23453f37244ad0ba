"""One neuron of an MLP, from both sides: what makes it fire, how, and what it says (Geva et al. 2021, 2022).

A neuron reads the stream with one row of weights, its activation function decides how much of that comes through, and
one row of the output matrix is added to the stream that many times. In a gated MLP (Shazeer 2020) what comes through
the function is multiplied by what a second row reads. What it says is read straight off: through the last norm with its
statistics held, and the head. What later layers make of it, only a run can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from ...errors import BadText, InvivoError, Refused
from ...pictures import Lines, Series
from ...show.blocks import Block, Figure, Heading, Table, Text
from ...show.text import number, quoted, visible
from ...sites import Place
from ...spec import Number, Spec, number_text
from ...tweaks import Decoding, Stack
from ...tweaks.sentences import SENTENCES
from ..attribution import components, frozen, matrix_of
from ..forward import Where, watched
from ..living import Living
from ..reading import logits_of
from ..reference import activations, encoded
from ..rows import prepare
from . import Found, Kind

BINS = 32
AROUND, AFTER = 9, 6  # tokens shown before the one that fires, and from it on


class Settings(Spec):
    """Which neuron, and on what."""

    neuron: str = "3.49"
    """The neuron, as LAYER.INDEX."""
    prompt: str = "Once upon a time"
    """A prompt, read like the sentences; what the neuron does to the next token is shown after it."""
    sentences: tuple[str, ...] = ()
    """Sentences in which is looked for what makes it fire; a hundred that come with invivo when left out."""
    doses: tuple[Number, ...] = (-2, 0, 2, 4, 6)
    """How many standard deviations are added to it at every token, for the curve."""
    top: int = Field(default=8, ge=1, le=50)
    """How many tokens and sentences are listed."""


@dataclass(frozen=True)
class _Seen:
    """The neuron over all texts: what it gave, and its input where the model shows it. Lists go by text."""

    texts: list[str]
    ids: list[list[int]]
    post: list[Tensor]  # (T,)
    pre: list[Tensor]

    @property
    def every(self) -> Tensor:
        """What it gave at every token but each text's first."""
        return torch.cat([x[1:] for x in self.post])

    def peaks(self) -> list[tuple[float, int, int]]:
        """Each text's largest value, which text, at which token; the largest first."""
        found = [(float(x[1:].max()), n, 1 + int(x[1:].argmax())) for n, x in enumerate(self.post) if len(x) > 1]
        return sorted(found, key=lambda peak: -peak[0])


@torch.no_grad()
def show(living: Living, settings: Settings) -> Found:
    """The tokens a neuron promotes, the texts that fire it, its activation function, and how its input comes about."""
    layer, index = _located(living, settings.neuron)
    name = f"neuron {layer}.{index}"
    with living.alone("compare"):
        seen = _read(living, layer, index, [*(settings.sentences or SENTENCES), settings.prompt])
        sd, mean = float(seen.every.std(correction=0)), float(seen.every.mean())
        numbers = {"sd": sd, "mean": mean, "active_share": float((seen.every > 0).float().mean())}
        said = _says(living, layer, index, settings.prompt)
        blocks: list[Block] = []
        sentence = ""
        if said is not None:
            up, down = said.topk(settings.top), (-said).topk(settings.top)
            best = int(up.indices[0])
            curve = _curve(living, settings, name, best)
            numbers |= {"promoted_id": float(best), "promoted_logit_per_sd": float(up.values[0]) * sd}
            numbers |= {f"logit_{number_text(dose)}": value for dose, value in zip(settings.doses, curve, strict=True)}
            word = living.piece(best).text
            sentence = (
                f"{name.capitalize()} promotes {_listed(living, up.indices[:4])} most: each standard deviation of it "
                f"({number(sd)}) adds {number(float(up.values[0]) * sd)} to the logit of {quoted(word)} directly. "
            )
            blocks += [
                _said(living, name, said * sd, up.indices, down.indices),
                Figure(name="neuron-dose", picture=_dose(name, settings.doses, curve, word, settings.prompt)),
            ]
        else:
            blocks.append(Text(text="A norm follows this MLP, so what a neuron says cannot be read off.", tone="note"))
        peaks = seen.peaks()
        value, text, at = peaks[0]
        sentence += (
            f"Of {len(seen.texts)} texts, the token {quoted(living.piece(seen.ids[text][at]).text)} in "
            f"{quoted(seen.texts[text])} fires it most, {number((value - mean) / sd if sd else 0.0, 1)} standard "
            f"deviations above its mean."
        )
        numbers["peak"] = value
        blocks += [Heading(text="What makes it fire", level=3), _fires(living, seen, peaks[: settings.top], mean, sd)]
        if "mlp_pre" not in living.anatomy.missing:
            blocks += [Heading(text="Its activation function", level=3), *_function(living, layer, seen)]
        try:
            formed = _formed(living, layer, index, seen.ids[text][: at + 1])
        except InvivoError as error:
            blocks.append(Text(text=f"How its input comes about cannot be shown: {error.what}.", tone="note"))
        else:
            numbers |= {"input": formed[0], "input_rest": formed[0] - sum(x for _, x in formed[1])}
            blocks += [Heading(text="How its input comes about", level=3), *_input(living, seen, text, at, formed)]
    return Found(sentence, tuple(blocks), numbers)


def _located(living: Living, neuron: str) -> tuple[int, int]:
    layer, _, units = living.anatomy.locate(Place.of(f"neuron {neuron}"))
    if layer is None or units is None or len(units) != 1:
        raise BadText(f"{neuron!r} is not one neuron", hint="write LAYER.INDEX, as in 3.49")
    return layer, units[0]


def _read(living: Living, layer: int, index: int, texts: list[str]) -> _Seen:
    """The neuron on every text."""
    ids = encoded(living, texts)
    where: list[Where] = [(layer, "mlp_post")]
    where += [(layer, "mlp_pre")] if "mlp_pre" not in living.anatomy.missing else []
    post, pre = ([torch.empty(0)] * len(ids) for _ in range(2))
    for n, values in activations(living, ids, where):
        post[n] = values[(layer, "mlp_post")][:, index].double()
        pre[n] = values[where[-1]][:, index].double()
    if not any(len(x) > 1 for x in post):
        raise BadText("no sentence has a token after its first", hint="give sentences of two words or more")
    return _Seen(texts, ids, post, pre)


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _says(living: Living, layer: int, index: int, prompt: str) -> Tensor | None:
    """(V,): what one unit of the neuron adds to each logit directly, after the prompt; None where a norm follows."""
    anatomy = living.anatomy
    block = anatomy.blocks[layer]
    if "mlp_out" not in block.writers or "final_norm" in anatomy.missing:
        return None
    ids = torch.tensor([living.encode(prompt)], device=living.device)
    where = (anatomy.layers - 1, "resid_post")
    with watched(anatomy, capture=[where]) as run:
        living.hf(input_ids=ids, use_cache=False)
    norm = frozen(anatomy.points["final_norm"].module, run.tensors()[where][0, -1].double())
    head: Any = anatomy.root.get_output_embeddings()  # type: ignore[operator]
    return head.weight.double() @ norm.linear(matrix_of(block.readers["mlp_post"])[index].double())


def _listed(living: Living, ids: Tensor) -> str:
    return ", ".join(quoted(living.piece(int(i)).text) for i in ids)


def _said(living: Living, name: str, said: Tensor, up: Tensor, down: Tensor) -> Table:
    def cell(i: Tensor) -> tuple[str, str]:
        return visible(living.piece(int(i)).text), number(float(said[i]), signed=True)

    return Table(
        caption=f"What one standard deviation of {name} adds to logits, read straight off its row of the output matrix",
        columns=("promoted", "logit", "suppressed", "logit "),
        rows=tuple((*cell(a), *cell(b)) for a, b in zip(up, down, strict=True)),
    )


def _curve(living: Living, settings: Settings, name: str, token: int) -> list[float]:
    """The token's logit after the prompt under each dose, later layers and all."""
    ids = living.encode(settings.prompt)
    stacks = [Stack.of(f"add {number_text(dose)} sd to {name}") for dose in settings.doses]
    rows = prepare(living, stacks, ids, {}, Decoding(), 0)[1:]
    return logits_of(living, rows, ids, len(ids))[:, -1, token].double().tolist() if rows else []


def _dose(name: str, doses: tuple[float, ...], curve: list[float], word: str, prompt: str) -> Lines:
    pairs = sorted(zip(doses, curve, strict=True))
    x, y = tuple(d for d, _ in pairs), tuple(v for _, v in pairs)
    way = "rises at every step" if list(y) == sorted(set(y)) else "does not rise at every step"
    return Lines(
        title=f"The logit of {quoted(word)} as {name} is turned up",
        summary=f"After {quoted(prompt)} the logit of {quoted(word)} {way}, from {number(y[0])} to {number(y[-1])}.",
        x=x,
        x_name="standard deviations added at every token",
        y_name="logit",
        series=(Series(name=quoted(word), role="tweak", values=y),),
    )


# ── what makes it fire ───────────────────────────────────────────────────────────────────────────────────────────────


def _fires(living: Living, seen: _Seen, peaks: list[tuple[float, int, int]], mean: float, sd: float) -> Table:
    def cut(text: int, at: int) -> str:
        tokens = [living.piece(i).text for i in seen.ids[text]]
        first = max(0, at - AROUND)
        before = "".join(tokens[first:at]).lstrip() if first == 0 else "…" + "".join(tokens[first:at])
        core = tokens[at].strip() or visible(tokens[at])
        blank = " " if tokens[at].startswith(" ") else ""
        after = "".join(tokens[at + 1 : at + AFTER]) + ("…" if at + AFTER < len(tokens) else "")
        return f"{before}{blank}[{core}]{after}"

    return Table(
        caption="The texts that fire it most; the token is in brackets",
        columns=("standard deviations above the mean", "text"),
        rows=tuple((number((v - mean) / sd if sd else 0.0, 1), cut(text, at)) for v, text, at in peaks),
    )


# ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _function(living: Living, layer: int, seen: _Seen) -> list[Block]:
    """The activation function, and where on it the neuron's inputs fall."""
    inputs = torch.cat([x[1:] for x in seen.pre])
    low, high = float(inputs.min()), float(inputs.max())
    if not high > low:
        return []
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    module: Any = living.anatomy.point("mlp_pre", layer).module
    curve = module(middle.to(living.dtype).to(living.device)).double().cpu()
    share = torch.histc(inputs.cpu(), BINS, low, high) / len(inputs)
    height = float(curve.abs().max())
    exact = module(inputs.to(living.dtype)).double()
    gated = float((exact - seen.every).abs().max()) > 1e-3 * max(1.0, float(seen.every.abs().max()))
    positive = 100 * float((inputs > 0).double().mean())
    summary = (
        f"The neuron's input is above 0, where the function lets it through, at {number(positive, 0)} % of the tokens; "
        "elsewhere next to nothing comes out."
    )
    picture = Lines(
        title="What comes in, and what is let through",
        summary=summary,
        x=tuple(round(value, 2) for value in middle.tolist()),
        x_name="the neuron's input",
        y_name="what the function gives",
        series=(
            Series(name="activation function", role="tweak", values=tuple(curve.tolist())),
            Series(
                name=f"share of tokens (highest: {number(100 * float(share.max()), 0)} %)",
                role="base",
                values=tuple((share * height / share.max()).tolist()),
            ),
        ),
    )
    found: list[Block] = [Figure(picture=picture, name="neuron-function")]
    if gated:
        told = "This MLP is gated: what the function lets through is then multiplied by what a second row reads."
        found.append(Text(text=told))
    return found


def _formed(living: Living, layer: int, index: int, ids: list[int]) -> tuple[float, list[tuple[str, float]]]:
    """The neuron's input at the last of some tokens, and each component's share of it. Raises Refused."""
    anatomy = living.anatomy
    for site in ("embed", "attn_out", "mlp_out", "resid_mid", "mlp_pre"):
        if site in anatomy.missing:
            raise Refused(f"this model offers no {site}, {anatomy.missing[site]}")
    split = all("attn_out" in b.writers and "z" in b.readers for b in anatomy.blocks) and "z" not in anatomy.missing
    places: list[Where] = [(None, "embed"), (0, "resid_pre"), (layer, "resid_mid"), (layer, "mlp_pre")]
    places += [(n, "attn_out") for n in range(layer + 1)] + [(n, "mlp_out") for n in range(layer)]
    places += [(n, "z") for n in range(layer + 1)] if split else []
    with watched(anatomy, capture=places) as run:
        living.hf(input_ids=torch.tensor([ids], device=living.device), use_cache=False)
    last = {where: x[0, -1].double() for where, x in run.tensors().items()}
    stream, value = last[(layer, "resid_mid")], last[(layer, "mlp_pre")]
    norm = frozen(anatomy.point("resid_mid", layer).module, stream)
    row, bias = _row(living, layer, index, norm.linear(stream) + norm.bias, value)
    shares = [
        (name, float(norm.linear(x) @ row)) for name, x, _, _ in components(anatomy, last, split, layer + 1, layer)
    ]
    return float(value[index]), [*shares, ("biases", float(norm.bias @ row) + bias)]


def _row(living: Living, layer: int, index: int, normed: Tensor, value: Tensor) -> tuple[Tensor, float]:
    """The row of weights with which the neuron reads the stream, and its bias. Raises Refused where none is found."""
    size = value.numel()
    for module in living.anatomy.blocks[layer].module.modules():
        if not isinstance(module, nn.Linear) and type(module).__name__ != "Conv1D":
            continue
        matrix, own = matrix_of(module).double(), getattr(module, "bias", None)
        if matrix.shape[0] != normed.numel() or matrix.shape[1] < size:
            continue
        out = normed @ matrix + (0.0 if own is None else own.double())
        for start in range(0, matrix.shape[1] - size + 1, size):  # gate and up may lie in one matrix
            if torch.allclose(out[start : start + size], value, rtol=1e-2, atol=1e-3 * float(value.abs().max())):
                return matrix[:, start + index], 0.0 if own is None else float(own[start + index])
    raise Refused("the matrix that gives its input was not found")


def _input(
    living: Living, seen: _Seen, text: int, at: int, formed: tuple[float, list[tuple[str, float]]]
) -> list[Block]:
    value, shares = formed
    ranked = sorted(shares, key=lambda share: -abs(share[1]))[:8]
    rest = value - sum(x for _, x in ranked)
    token = quoted(living.piece(seen.ids[text][at]).text)
    told = f"At {token} in {quoted(seen.texts[text])} its input is {number(value)}, and that is a sum:"
    rows = [*((name, number(x, signed=True)) for name, x in ranked), ("all others", number(rest, signed=True))]
    return [Text(text=told), Table(columns=("written by", "share of the input"), rows=tuple(rows))]


EXHIBIT = Kind("One neuron: what makes it fire, and what it says", Settings, show)

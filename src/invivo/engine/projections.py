"""W_Q, W_K and W_V of every head in any family: found by following wires, not by the names of modules.

Every output of attention's linear layers is replaced by its own number, written digit by digit on a prompt of one
token, and what arrives as q, k and v tells which output each dimension of each head is. At position 0 rotary embeddings
rotate by nothing, so it works for them, for fused layers and for grouped heads alike. Where queries are normalised
first (Qwen 3, Gemma 3, OLMo 2) numbers do not come through; there the layer that q depends on is taken, in its order.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import OutOfRange, Refused
from ..model.anatomy import is_linear
from ..sites import Place
from .forward import watched
from .living import Living

BASE = 16  # digits this small survive bfloat16


@dataclass(frozen=True)
class Projection:
    """What makes q, k or v of one layer out of the vectors that attention reads."""

    weight: Tensor  # (H, D, K), float32
    bias: Tensor  # (H, K), zeros where there is none
    gain: float | None  # attention compares (x W + b) times this; None where a norm stands between
    module: nn.Module  # the linear layer

    def of(self, x: Tensor) -> Tensor:
        """(T, D) -> (T, H, K), before any norm or rotation."""
        return torch.einsum("td,hdk->thk", x, self.weight) + self.bias


@torch.no_grad()
def projections(living: Living, layer: int) -> dict[str, Projection]:
    """q, k and v of a layer. Raises Refused where attention is closed or its layers cannot be read."""
    anatomy = living.anatomy
    for site in ("q", "k", "v"):
        anatomy.locate(Place.of(f"L{layer}.{site}"))
    block = anatomy.blocks[layer := anatomy.layer(layer)]
    assert block.attention is not None
    linears = [m for m in block.attention.modules() if is_linear(m) and m is not block.readers.get("z")]
    sizes = [_inputs_outputs(m).shape[1] for m in linears]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    total = sum(sizes)

    def seen(written: dict[int, Tensor]) -> dict[str, Tensor]:
        """q, k, v (H, K) of a lone first token when some linear layers give what is written."""
        with ExitStack() as stack:
            for i, values in written.items():
                handle = linears[i].register_forward_hook(_giving(values))
                stack.callback(handle.remove)
            where: list[Any] = [(layer, site) for site in ("q", "k", "v")]
            with living.alone("capture"), watched(anatomy, [], where) as run:
                living.hf(input_ids=torch.zeros(1, 1, dtype=torch.long, device=living.device), use_cache=False)
            return {site: x[0, 0].float() for (_, site), x in run.tensors().items()}

    numbers = torch.arange(total)
    ones = seen({i: torch.ones(size) for i, size in enumerate(sizes)})
    index = {site: torch.zeros_like(x) for site, x in ones.items()}
    exact = {site: bool((x != 0).all()) and float(x.std()) <= 1e-3 * float(x.abs().mean()) for site, x in ones.items()}
    place = 1
    while place < total:
        digits = numbers // place % BASE
        now = seen({i: digits[start : start + sizes[i]].float() for i, start in enumerate(starts)})
        for site, x in now.items():
            digit = x / ones[site]
            exact[site] &= bool(torch.isfinite(digit).all()) and float((digit - digit.round()).abs().max()) < 0.2
            index[site] = index[site] + digit.nan_to_num().round() * place
        place *= BASE
    found = {}
    for site, wires in index.items():
        heads, width = wires.shape
        flat = wires.flatten().long()
        if exact[site] and len(set(flat.tolist())) == heads * width and 0 <= int(flat.min()) <= int(flat.max()) < total:
            which = max(i for i, start in enumerate(starts) if start <= int(flat[0]))
            columns, gain = flat - starts[which], float(ones[site].mean())
            if int(columns.min()) < 0 or int(columns.max()) >= sizes[which]:
                raise Refused(f"the queries of {living.name} come from several matrices at once")
        else:
            fits = [i for i, size in enumerate(sizes) if size == heads * width]
            plain = seen({})[site]
            moved = [i for i in fits if not torch.equal(plain, seen({i: torch.linspace(-1, 1, sizes[i])})[site])]
            if len(moved) != 1:
                raise Refused(f"no single matrix of {living.name} gives {site} in layer {layer}")
            which, columns, gain = moved[0], torch.arange(heads * width), None
        matrix, bias = _inputs_outputs(linears[which]), getattr(linears[which], "bias", None)
        columns = columns.to(matrix.device)
        found[site] = Projection(
            matrix[:, columns].float().reshape(-1, heads, width).transpose(0, 1).contiguous(),
            torch.zeros(heads, width, device=matrix.device)
            if bias is None
            else bias.detach()[columns].float().reshape(heads, width),
            gain,
            linears[which],
        )
    return found


def _giving(values: Tensor) -> Any:
    """A hook that puts these numbers in place of what a module gives."""
    return lambda _module, _args, output: values.to(output.dtype).to(output.device).expand_as(output)


def _inputs_outputs(module: Any) -> Tensor:
    """A linear layer's weight as (in, out). Raises Refused where it holds no plain numbers."""
    weight = module.weight.detach()
    if not weight.is_floating_point():
        raise Refused(f"a matrix is stored as {weight.dtype}, which is not read here", hint="load it in full precision")
    return weight.t() if isinstance(module, nn.Linear) else weight


def head_of(living: Living, layer: int, head: int) -> tuple[int, int, int]:
    """Layer, head, and the key-value head that it shares, all counted from 0. Raises OutOfRange or Refused."""
    anatomy = living.anatomy
    found, heads, _ = anatomy.locate(Place.of(f"L{layer}.q heads {head}"))
    if found is None or not heads:
        raise OutOfRange(f"head {layer}.{head} does not exist")
    sizes = anatomy.blocks[found].sizes
    return found, heads[0], heads[0] * sizes["H_kv"] // sizes["H"]


def spectrum(matrix: Tensor) -> Tensor:
    """(…, n, m) -> (…, min(n, m)) singular values, largest first, by way of the smaller Gram matrix."""
    tall = matrix if matrix.shape[-2] >= matrix.shape[-1] else matrix.transpose(-1, -2)
    tall = tall.double()
    return torch.linalg.eigvalsh(tall.transpose(-1, -2) @ tall).clamp(min=0).sqrt().flip(-1)


def edge(matrix: Tensor) -> Tensor:
    """(…, n, m) -> (…): where singular values end if entries of this size are independent (Marchenko & Pastur 1967).

    The size is the root of the entries' mean square, so that nothing but the matrix itself goes in.
    """
    n, m = matrix.shape[-2:]
    return matrix.double().pow(2).mean((-2, -1)).sqrt() * (n**0.5 + m**0.5)


def over(matrix: Tensor) -> Tensor:
    """(…, n, m) -> (…): the largest singular value as a multiple of the edge."""
    return spectrum(matrix)[..., 0] / edge(matrix)


def initial(living: Living, *shape: int, seed: int = 0) -> Tensor:
    """A matrix as training found it: independent normal numbers of the size that the model's config names."""
    config = living.hf.config.get_text_config()
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return made * float(getattr(config, "initializer_range", None) or 0.02)

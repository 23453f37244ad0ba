"""Causal maps and lenses against the tools that others use, and against the processor: interleaved, in one process.

    make bench-peers        # makes .venv-peers and runs this in it
    python benchmarks/causal.py [--rounds 5] [--threads 1 2] [--alone]

A random GPT-2 (subject.py) reads two prompts that differ in one token. Three works: patch every head from the clean
prompt, patch the stream at every layer and position, and the five likeliest tokens of every layer at every position.
invivo is used as its users use it, `Model.sweep` and `Model.lens`; the peers (peers.py) by the fastest way that they
offer. In every round all must find the same. A peer's figure is its seconds over ours: larger is better. The others are
ours over what it is measured with, and smaller is better:

- times_matmul_floor: over the multiplications that the work needs, by themselves (floor.py);
- time_per_row_10000_over_100, peak_over_budget: a long sweep over a short one, its memory over its budget (growth.py).

Each is taken at every number of threads that is given; under its plain name stands the worse of them. `--alone` leaves
the peers out. By hand: a venv; `pip install -c constraints.txt torch`, before anything that would choose another build;
then `pip install -c constraints.txt -r benchmarks/peers.txt -e .`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["TQDM_DISABLE"] = "1"  # before torch and the peers import it: their progress bars would be among our words

import floor
import torch
from common import finish, interleaved, ratio, say
from subject import Subject
from torch import Tensor

if TYPE_CHECKING:
    from peers import Peer

    from invivo.engine.live import Model
    from invivo.experiment import Grid

PEERS = {"transformer_lens": "transformer-lens", "nnsight": "nnsight"}  # module: distribution
LINES = {"heads": "copy head * from clean", "positions": "copy L*.resid_pre at * from clean"}
AGREE = 1e-4  # of the largest effect
Figures = dict[str, float]
Results = dict[str, list[Any]]


def timed(works: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], Results]:
    """Seconds of each work, and what it gave in every round and when it was warmed up."""
    given: Results = {name: [] for name in works}

    def keeping(name: str) -> Callable[[], None]:
        return lambda: given[name].append(works[name]())

    return interleaved({name: keeping(name) for name in works}, rounds), given


def grids(
    name: str, subject: Subject, model: Model, least: floor.Floor, peers: Sequence[Peer], rounds: int
) -> tuple[Figures, float]:
    """One kind of sweep, and how far the peers' grids are from ours, in largest effects."""
    steps = {"heads": floor.heads, "positions": floor.positions}[name](subject)
    say(f"{LINES[name]}; the floor is {len(steps)} multiplications, {floor.flops(subject, steps) / 1e9:.1f} GFLOP")

    def ours() -> Grid:
        return model.sweep(
            LINES[name],
            subject.text(*subject.corrupt),
            prompts={"clean": subject.text(*subject.clean)},
            metric="logit_diff",
            target=subject.text(subject.target),
            wrong=subject.text(subject.wrong),
        )

    works = {"invivo": ours, "floor": least.work(steps)} | {peer.name: getattr(peer, name) for peer in peers}
    seconds, results = timed(works, rounds)
    figures = {f"times_matmul_floor_{name}": ratio(seconds, "invivo", "floor")}
    farthest = 0.0
    for peer in peers:
        apart = max(map(difference, results["invivo"], results[peer.name]))
        farthest = max(farthest, apart)
        figures[f"{name}_over_{peer.name}"] = ratio(seconds, peer.name, "invivo")
    return figures, farthest


def difference(ours: Grid, theirs: Tensor) -> float:
    """Largest difference between two grids, as a share of the largest effect. It must be small."""
    mine = torch.tensor(ours.values[0], dtype=torch.float64).view(ours.shape)
    apart = float((mine - theirs).abs().max() / (mine - (ours.base[0] or 0.0)).abs().max())
    assert apart <= AGREE, f"`{ours.recipe.tweak}`: a peer's grid differs by {apart:.1e} of the largest effect"
    return apart


def lens(subject: Subject, model: Model, peers: Sequence[Peer], rounds: int) -> Figures:
    """The lens, over whoever of the others is fastest."""
    say("the five likeliest tokens of every layer and position")
    text = subject.text(*subject.clean)
    theirs = {f"{peer.name}, {way}": work for peer in peers for way, work in peer.lenses.items()}
    seconds, results = timed({"invivo": lambda: model.lens(text, top=5).base.ids} | theirs, rounds)
    for name in theirs:
        for mine, other in zip(results["invivo"], results[name], strict=True):
            same = torch.tensor(mine).flatten().equal(other.flatten())
            assert same, f"{name} finds other tokens than invivo"
    fastest = min(theirs, key=lambda name: statistics.median(seconds[name]))
    return {"lens_over_fastest_peer": ratio(seconds, fastest, "invivo")}


def measure(subject: Subject, threads: int, rounds: int, peers: Sequence[Peer]) -> Figures:
    """Everything that is measured in this process, at one number of threads."""
    torch.set_num_threads(threads)
    say(f"── {threads} {'thread' if threads == 1 else 'threads'} ──")
    model, least = subject.model(), floor.Floor(subject)
    figures: Figures = {}
    farthest = []
    for name in LINES:
        found, apart = grids(name, subject, model, least, peers, rounds)
        figures |= found
        farthest.append(apart)
    figures["times_matmul_floor"] = max(figures[f"times_matmul_floor_{name}"] for name in LINES)
    if peers:
        figures["peers_agree"] = float(f"{max(farthest):.2g}")
        figures |= lens(subject, model, peers, rounds)
    return figures


def growth(subject: Subject, threads: int, rounds: int, many: int) -> Figures:
    """What growth.py finds, in a process of its own."""
    script = Path(__file__).with_name("growth.py")
    words = ["--threads", str(threads), "--rounds", str(max(1, rounds // 3)), "--many", str(many), *subject.words()]
    told = subprocess.run([sys.executable, str(script), *words], stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(told.splitlines()[-1])["figures"]


def together(found: dict[int, Figures]) -> Figures:
    """Each figure under its plain name, where the worst of them stands, and at each number of threads."""
    plain: Figures = {}
    apart: Figures = {}
    for name in next(iter(found.values())):
        larger_is_better = name.endswith(("_over_transformerlens", "_over_nnsight", "_over_fastest_peer"))
        plain[name] = (min if larger_is_better else max)(figures[name] for figures in found.values())
        for threads, figures in found.items():
            apart[f"{name}_{threads}thread{'s' * (threads > 1)}"] = figures[name]
    return plain | apart


def main() -> None:
    """All of it, one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--many", type=int, default=10_000, help="rows of the long sweep")
    Subject.options(parser)
    given = parser.parse_args()
    missing = [name for module, name in PEERS.items() if find_spec(module) is None]
    if missing and not given.alone:
        say(f"{' and '.join(missing)} not installed: `make bench-peers` makes their environment and runs this in it")
        sys.exit(2)
    load = os.getloadavg()[0]
    subject = Subject.of(given)
    found = {threads: growth(subject, threads, given.rounds, given.many) for threads in given.threads}
    torch.set_grad_enabled(False)
    peers: list[Peer] = []
    if not given.alone:
        from peers import all_peers

        peers = all_peers(subject)  # once: TransformerLens cannot open a tokenizer that it has changed
    for threads in given.threads:
        found[threads] |= measure(subject, threads, given.rounds, peers)
    finish(
        "causal",
        together(found),
        threads=given.threads,
        rounds=given.rounds,
        subject=asdict(subject),
        peers={} if given.alone else {name: version(name) for name in PEERS.values()},
        load_before=round(load, 2),
    )


if __name__ == "__main__":
    main()

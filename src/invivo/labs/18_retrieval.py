"""Lab 18: let a model look an answer up, and see what it takes: the right passage, and heads that copy from it.

The notes and questions are the village's (experiment/village). What is found decides what is read, and what is read is
believed: both halves are measured, each beside chance.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ..experiment import REAL, Claim, Comparison, Experiment, Lab, Step
from ..experiment.exhibit import Exhibit, ExhibitRecipe
from ..experiment.wording import percent, share_shift
from ..show.text import quoted
from ..tweaks import Stack
from .words import doing, likeliest, measure, moving, parting

CHANCE, WORDS, MEANING, BOTH = (f"retrieve 1 from village by {how}" for how in ("chance", "bm25", "dense", "hybrid"))
WAYS = tuple(str(Stack.of(line)) for line in (CHANCE, WORDS, MEANING, BOTH))
CHANCE, WORDS, MEANING, BOTH = WAYS


def rises(x: Exhibit) -> bool:
    """Whether recall falls nowhere as more cells are probed, and ends at 1."""
    recalls = [x.numbers[f"learned_{n}"] for n in range(int(x.numbers["probes"]))]
    return all(b >= a for a, b in pairwise(recalls)) and recalls[-1] == 1.0


def lost(x: Exhibit) -> bool:
    """Whether zeroing the copying heads takes back at least four fifths of what the passage gave."""
    whole, nothing = x.numbers["nats_0"], x.numbers["without_passage"]
    return whole - x.numbers[f"nats_{int(x.numbers['heads'])}"] >= 0.8 * (whole - nothing) > 0


def takeaway(c: Comparison) -> str:
    """What each row's passage was worth to the answer, in words that the numbers choose."""
    shown = c.tweaks[-1]
    before, after = likeliest(shown, base=True), likeliest(shown)
    if c.recipe.target is None or not math.isfinite(measure(c, "target_probability")):
        top = (
            f"keeps {before} the likeliest next token" if before == after else f"makes {after} likeliest, not {before}"
        )
        return f"{doing(shown)} {top}; {moving(c, shown)}, and {parting(shown)}."
    values = {str(r.tweak): measure(c, "target_probability", str(r.tweak)) for r in c.tweaks}
    base, mine = measure(c, "target_probability"), values.pop(str(shown.tweak))
    way = "leaves" if 0.99 * base <= mine <= 1.01 * base else "takes"
    moved = f"at {percent(mine)}" if way == "leaves" else share_shift(base, mine)
    others = [f"with `{line}` it has {percent(value)}" for line, value in values.items()]
    text = f"{doing(shown)} {way} the probability of {quoted(c.recipe.target)} {moved}"
    return f"{text}; {'; '.join(others or [parting(shown)])}."


LAB = Lab(
    number="18",
    name="retrieval",
    section=11,
    title="Look it up",
    why=(
        "What was not in the training text, a model cannot know: your notes, yesterday's news, where Belku lives. "
        "Training it again for every note would be absurd. So the note is looked up and put in front of the question, "
        "and the model reads. That is two machines in a row, and either can fail: the search finds the wrong note, or "
        "the model does not read the right one. Which is it, when the answer is wrong?"
    ),
    know=(
        "Search by words (BM25): a note scores for each word that it shares with the question, more for a rare word. "
        "A name is found at once. `Loaves` does not find `bread`.",
        "Search by meaning (dense): an embedding is a text as one vector, and texts about alike things point alike "
        "ways. Here it is the loaded model's own stream, half-way up: the mean over a text's words, less the mean "
        "over all notes. A model that was trained to embed does better.",
        "Hybrid: BM25 scores and cosines cannot be added, but ranks can be merged. Reciprocal rank fusion gives a note "
        "1 / (60 + rank) from each list.",
        "A vector store keeps vectors with their texts and gives back the nearest. Comparing with all of them is "
        "exact and slow; an index of cells (IVF) compares with some. Recall@k is the share of the true k nearest "
        "that it still finds.",
        "Reading: the answer stands in the passage, so it need not be known, only copied. Induction heads do that: "
        "they look at what came after the same token before.",
        "The model cannot tell a true note from a false one. What is found is believed.",
    ),
    experiment=Experiment.of(
        {
            "prompt": "Question: Where does Belku live? Answer:",
            "tweaks": [CHANCE, MEANING, WORDS, BOTH],
            "target": " Narto",
            "decoding": {"max_new_tokens": 8},
        }
    ),
    numbers=("target", "target_probability"),
    pictures=("next_tokens",),
    all_rows=True,
    look_for=(
        "Each row reads one note in front of the question; the line under a row says which. Which searches find the "
        "note about Belku? And what does the model say when it has the wrong note: does it admit that the answer is "
        "not there?"
    ),
    takeaway=takeaway,
    claims=(
        Claim(
            text="With the note that words find, the answer has at least half of the probability.",
            holds=lambda c: measure(c, "target_probability", WORDS) >= 0.5,
        ),
        Claim(
            text="Without a note, and with one by chance, it has less than a thousandth.",
            holds=lambda c: max(measure(c, "target_probability", line) for line in (None, CHANCE)) < 1e-3,
        ),
    ),
    steps=(
        Step(
            name="search",
            title="Which search finds the note",
            text=(
                "Eighteen questions name someone: one exact word decides, and six or more notes are about alike "
                "things. Eighteen others are paraphrases that share no word of weight with their note. Nothing is read "
                "yet; only the search is judged. One question is 6 points, so look at large differences only. The "
                "curve shows vectors read at other heights of the model: low down they still spell, and a name is "
                "found by them, too."
            ),
            recipe=lambda e: ExhibitRecipe(name="retrieval", **e.on),
            claims=(
                Claim(
                    text="Words find every exact string and no paraphrase.",
                    exact=True,
                    holds=lambda x: x.numbers["bm25_exact"] == 1 and x.numbers["bm25_paraphrase"] == 0,
                ),
                Claim(
                    text="On exact strings words beat meaning, by a fifth of the questions at least.",
                    holds=lambda x: x.numbers["bm25_exact"] >= x.numbers["dense_exact"] + 0.2,
                ),
                Claim(
                    text="On paraphrases meaning beats words, by a fifth of the questions at least.",
                    holds=lambda x: x.numbers["dense_paraphrase"] >= x.numbers["bm25_paraphrase"] + 0.2,
                ),
                Claim(
                    text="Both together are better than chance on both kinds, by a fifth at least.",
                    holds=lambda x: all(
                        x.numbers[f"hybrid_{kind}"] >= x.numbers[f"chance_{kind}"] + 0.2
                        for kind in ("exact", "paraphrase")
                    ),
                ),
            ),
        ),
        Step(
            name="answers",
            title="What the found note is worth",
            text=(
                "Now search and read, on all 36 questions: the log-probability of the whole answer, with the note that "
                "each way puts first. 0 nats would be certain. A wrong note is worse than none, because its names are "
                "copied in the answer's place."
            ),
            recipe=lambda e: ExhibitRecipe(name="answering", **e.on),
            claims=(
                Claim(
                    text="On exact strings what words find is worth at least 5 nats, and more than what meaning finds.",
                    holds=lambda x: (
                        x.numbers["bm25_exact"] >= x.numbers["none_exact"] + 5
                        and x.numbers["bm25_exact"] > x.numbers["dense_exact"]
                    ),
                ),
                Claim(
                    text="On paraphrases what meaning finds is worth at least 3 nats more than what words find.",
                    holds=lambda x: x.numbers["dense_paraphrase"] >= x.numbers["bm25_paraphrase"] + 3,
                ),
                Claim(
                    text="A note by chance raises the answer by no more than half a nat.",
                    holds=lambda x: all(
                        x.numbers[f"chance_{kind}"] <= x.numbers[f"none_{kind}"] + 0.5
                        for kind in ("exact", "paraphrase")
                    ),
                ),
            ),
        ),
        Step(
            name="store",
            title="The same in a vector store",
            text=(
                "A vector database is asked in place of a matrix product: the notes' vectors go into Qdrant, in memory "
                "here, and every question's vector is sent to it. `url=http://localhost:6333` sends the same calls to "
                "a real server. With this few vectors it must find just the same."
            ),
            recipe=lambda e: ExhibitRecipe(name="vector_store", **e.on),
            claims=(
                Claim(
                    text="The store's cosines are those of the matrix product, to 0.0001.",
                    exact=True,
                    holds=lambda x: x.numbers["scores_apart"] < 1e-4,
                ),
                Claim(
                    text="It puts the same note first for every question.",
                    holds=lambda x: x.numbers["same_first"] == 1,
                ),
            ),
        ),
        Step(
            name="index",
            title="An index that does not look at everything",
            text=(
                "With millions of vectors nobody compares with each. An index sorts them into cells by k-means and "
                "looks into the cells nearest to the question. Thirty-six notes are too few to show it, so these are "
                "the some thousand vectors of the model's own token table, searched for each other. (Servers mostly "
                "use HNSW, a graph of neighbours, which trades recall for work in the same way.) The control has "
                "its vectors thrown into cells by chance: then recall is the share that was compared."
            ),
            recipe=lambda e: ExhibitRecipe(name="index", **e.on),
            claims=(
                Claim(
                    text="Recall falls nowhere as more cells are probed, and with all of them it is 1.",
                    exact=True,
                    holds=rises,
                ),
                Claim(
                    text="With an eighth of the cells, k-means finds at least half as much again as chance.",
                    holds=lambda x: x.numbers["learned_3"] >= 1.5 * x.numbers["chance_3"],
                ),
            ),
        ),
        Step(
            name="copying",
            title="Who reads the answer off",
            text=(
                "The right note is in front, and the search is out of the picture. The heads that copy were found on "
                "repeated random tokens, as `invivo heads` does. First see where they look when the answer is due: "
                "at the answer, in the passage. Then zero them, best copiers first. If the answer comes from the "
                "passage through them, it must go with them."
            ),
            recipe=lambda e: ExhibitRecipe(name="copying", **e.on),
            claims=(
                Claim(
                    text="The copying heads give at least half of their attention to the answer in the passage.",
                    holds=lambda x: x.numbers["copier_looks"] >= 0.5,
                ),
                Claim(
                    text="Without them at least four fifths of what the passage was worth are lost.",
                    holds=lost,
                ),
            ),
        ),
        Step(
            name="fails",
            title="When it fails",
            text=(
                "The plausible mistake: trusting what was found. Somebody plants a note that is the right one but for "
                "one name. It shares every word with the question, so any search finds it. Does the model doubt it? "
                "And when true and false stand one behind the other, which wins?"
            ),
            recipe=lambda e: ExhibitRecipe(name="believing", **e.on),
            claims=(
                Claim(
                    text="The planted name gets at least half of the probability, and ten times the true one's.",
                    holds=lambda x: (
                        x.numbers["planted_planted"] >= max(0.5, 10 * x.numbers["planted_true"])
                        and x.numbers["right_true"] >= 0.5
                    ),
                ),
                Claim(
                    text="With both in front, the true answer loses at least a quarter of what it had.",
                    holds=lambda x: (
                        max(x.numbers["right_planted_true"], x.numbers["planted_right_true"])
                        <= 0.75 * x.numbers["right_true"]
                    ),
                ),
            ),
        ),
        Step(
            name=REAL,
            title="Is it real?",
            text=(
                "Perhaps any passage helps, by setting the form; and perhaps zeroing any seven heads breaks a model. "
                "So give it random notes in place of the right one, five for each question; and with the right note, "
                "zero random heads, as many, five sets. The effect is in the passage and in the copying heads only if "
                "both controls do next to nothing."
            ),
            recipe=lambda e: ExhibitRecipe(name="reading", **e.on),
            claims=(
                Claim(
                    text="The right passage raises the answer by at least 5 nats, and a random one by less than 1.",
                    holds=lambda x: (
                        x.numbers["right"] >= x.numbers["none"] + 5 and x.numbers["random"] < x.numbers["none"] + 1
                    ),
                ),
                Claim(
                    text="On at least nine of ten questions the right passage beats a random one and none.",
                    holds=lambda x: x.numbers["right_wins"] >= 0.9,
                ),
                Claim(
                    text="Zeroing the copying heads costs at least three times what the worst random set costs.",
                    holds=lambda x: (
                        x.numbers["right"] - x.numbers["copying"]
                        >= 3 * (x.numbers["right"] - x.numbers["worst_others"])
                    ),
                ),
            ),
        ),
    ),
    questions=(
        "Meaning missed the note here. Does it stand among the first three, and is the answer found among three "
        'notes? `invivo run 18 --tweak "retrieve 3 from village by dense"`.',
        "Now a question in other words, which BM25 cannot answer: "
        '`invivo run 18 prompt="Question: Who helps pupils with their lessons? Answer:" target=" Vemir"`.',
        "Does more in front help, or distract? "
        '`invivo run 18 --tweak "retrieve 2 from village" --tweak "retrieve 12 from village"`.',
    ),
    sources=(
        "Lewis et al. 2020, Retrieval-Augmented Generation for Knowledge-Intensive NLP Tasks, arXiv:2005.11401",
        "Robertson & Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond",
        "Lù 2024, BM25S: Orders of Magnitude Faster Lexical Search via Eager Sparse Scoring, arXiv:2407.03618",
        "Karpukhin et al. 2020, Dense Passage Retrieval for Open-Domain Question Answering, arXiv:2004.04906",
        "Skean et al. 2025, Layer by Layer: Uncovering Hidden Representations in Language Models, arXiv:2502.02013",
        "Cormack, Clarke & Büttcher 2009, Reciprocal Rank Fusion Outperforms Condorcet (SIGIR)",
        "Jégou, Douze & Schmid 2011, Product Quantization for Nearest Neighbor Search (inverted files)",
        "Malkov & Yashunin 2018, Efficient and Robust Approximate Nearest Neighbor Search Using HNSW, arXiv:1603.09320",
        "Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895",
        "Zou et al. 2024, PoisonedRAG: Knowledge Corruption Attacks to Retrieval-Augmented Generation, "
        "arXiv:2402.07867",
    ),
)

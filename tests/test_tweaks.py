"""The one line of text: every tweak says what it is, and reads back as itself."""

import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invivo.errors import InvivoError
from invivo.experiment import Experiment
from invivo.sites import SITES, Place, Positions, index_list, places_example
from invivo.tweaks import Decoding, Positional, Receiver, Stack, Tweak, read_tweak

numbers = st.floats(-3e38, 3e38)
positive = st.floats(0, 3e38)
whole = st.integers(-50, 50)
names = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
parts = st.one_of(
    whole.map(str),
    st.tuples(whole, whole).map(lambda p: f"{p[0]}:{p[1]}"),
    whole.map(lambda a: f"{a}:"),
    whole.map(lambda a: f":{a}"),
    st.just(":"),
)
indices = st.lists(parts, min_size=1, max_size=3).map(",".join)


@st.composite
def places(draw):
    site = SITES[draw(st.sampled_from(list(SITES)))]
    maybe = lambda s: draw(st.one_of(st.none(), s))  # noqa: E731
    return Place(
        site=site.name,
        layer=draw(st.integers(-9, 99)) if site.layered else None,
        heads=maybe(indices) if site.has_heads else None,
        units=maybe(indices) if site.name not in ("scores", "pattern") else None,
        at=maybe(indices),
        keys=maybe(indices) if site.name in ("scores", "pattern") else None,
    )


@st.composite
def receivers(draw):
    kind = draw(st.sampled_from(["q", "k", "v", "mlp", "logits"]))
    layer = None if kind == "logits" else draw(st.integers(-9, 99))
    return Receiver(input=kind, layer=layer, heads=draw(indices) if kind in "qkv" else None)


FIELDS = {
    "place": places(),
    "during": st.sampled_from(["all", "prompt", "generation"]),
    "factor": numbers,
    "amount": numbers,
    "text": st.one_of(st.none(), st.text(min_size=1)),
    "sigma": positive,
    "seed": st.integers(0, 2**40),
    "source_name": names,
    "source_at": st.one_of(st.none(), indices),
    "aligned": st.sampled_from([None, "ends"]),
    "receiver": receivers(),
    "temperature": positive,
    "top_k": st.integers(0, 10**6),
    "top_p": st.floats(0, 1, exclude_min=True),
    "num_beams": st.integers(1, 64),
    "token": st.text(min_size=1),
    "direction": st.one_of(names, st.text().filter(str.isprintable).map(lambda s: f"{s}.safetensors")),
    "strength": numbers,
    "before": st.text(min_size=1),
    "after": st.text(min_size=1),
    "old": st.text(min_size=1),
    "new": st.text(min_size=1),
    "template": st.text().filter(lambda s: "{}" not in s).map(lambda s: s.replace("{", "") + "{}"),
    "file": st.text("ab9/._-+é", min_size=1).map("./".__add__),
    "share": st.floats(0, 1),
    "to": st.sampled_from(["int1", "int4", "int8", "nf4"]),
    "count": st.integers(1, 100),
    "folder": st.text("ab9/._-+é", min_size=1).map("./".__add__),
    "how": st.sampled_from(["bm25", "dense", "hybrid", "chance"]),
    "embedder": st.sampled_from(["", "./m", "some-one/model-1.0"]),
    "around": st.text().filter(lambda s: "{" not in s).map(lambda s: s + "{passages} {prompt}"),
    "group": st.sampled_from([0, 32, 64, 128]),
    "steps": st.integers(0, 10_000),
    "rate": st.floats(0, 1, exclude_min=True),
    "rank": st.integers(1, 4096),
}


@st.composite
def tweaks(draw):
    kind = Tweak.kinds[draw(st.sampled_from(sorted(Tweak.kinds)))]
    values = {}
    for name, field in kind.model_fields.items():
        if field.is_required() or draw(st.booleans()):
            values[name] = draw(st.text(min_size=1) if name == "text" and field.is_required() else FIELDS[name])
    try:
        return kind.of(values)
    except InvivoError:
        positional = issubclass(kind, Positional)
        values["place"] = Place(site="pos_embed", at="3") if positional else Place(site="z", layer=1, at="3")
        values.pop("source_at", None)
        return kind.of(values)


@given(tweaks())
def test_every_tweak_reads_back_as_itself(tweak):
    assert read_tweak(str(tweak)) == tweak
    assert type(tweak).read(str(tweak)) == tweak
    assert "\n" not in str(tweak)


@given(st.lists(tweaks(), min_size=1, max_size=4))
def test_a_stack_reads_back_as_itself(items):
    stack = Stack.of(tuple(items))
    assert Stack.of(str(stack)) == stack
    assert Stack.of("\n".join(map(str, items))) == stack
    assert list(stack) == items


@given(places())
def test_every_place_reads_back_as_itself(place):
    assert Place.model_validate(str(place)) == place


@given(
    st.lists(tweaks(), max_size=3),
    st.text(min_size=1),
    st.dictionaries(names, st.text(min_size=1), max_size=2),
    st.integers(0, 10**9),
    st.floats(0, 10),
)
def test_an_experiment_reads_back_from_yaml(items, prompt, prompts, seed, temperature):
    needed = Experiment(prompt="x").needed_prompts
    for tweak in items:
        source = getattr(tweak, "source_prompt", None)
        needed |= {source} if source else set()
    made = Experiment.of(
        {
            "prompt": prompt,
            "tweaks": [str(t) for t in items],
            "seed": seed,
            "prompts": prompts | dict.fromkeys(needed, "y"),
            "decoding": Decoding(do_sample=True, temperature=temperature),
        }
    )
    assert Experiment.from_yaml(made.to_yaml()) == made
    scope = {}
    exec(made.to_python().replace("invivo.run(", "result = ("), {"invivo": __import__("invivo")}, scope)
    assert scope["result"] == made


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_words(text):
    with contextlib.suppress(InvivoError):
        assert str(Stack.of(text))


def test_every_form_has_an_example_here():
    """A new kind must be exercised: the strategy above builds every registered kind."""
    assert {name for kind in Tweak.kinds.values() for name in kind.model_fields} <= set(FIELDS)
    assert len(Tweak.kinds) >= 12


@pytest.mark.parametrize("text", list(places_example()))
def test_the_ways_to_write_a_place(text):
    place = Place.model_validate(text)
    assert Place.model_validate(str(place)) == place


@pytest.mark.parametrize(
    ("hook", "place"),
    [
        ("blocks.3.attn.hook_z", "L3.z"),
        ("blocks.0.hook_resid_pre", "L0.resid_pre"),
        ("blocks.2.mlp.hook_post", "L2.mlp_post"),
        ("blocks.11.attn.hook_attn_scores", "L11.scores"),
        ("hook_embed", "embed"),
        ("hook_pos_embed", "positions"),
        ("ln_final.hook_normalized", "final_norm"),
        ("blocks.3.attn.hook_pattern heads 2 keys 0", "L3.pattern heads 2 keys 0"),
    ],
)
def test_transformerlens_names_are_the_same_places(hook, place):
    assert str(Place.model_validate(hook)) == place


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("zro head 3.5", "did you mean 'zero'"),
        ("zero L3.resid_per", "did you mean 'resid_pre'"),
        ("set temprature 2", "set temperature NUMBER"),
        ("scale head 3.5", "scale PLACE by NUMBER"),
        ("add nan to head 3.5", "finite"),
        ("scale head 3.5 by inf", "finite"),
        ("set temperature -1", "negative"),
        ("set top_p 0", r"outside \(0, 1\]"),
        ("set top_p 1.5", r"outside \(0, 1\]"),
        ("zero z", "needs a layer"),
        ("zero L3.embed", "in no layer"),
        ("zero head 3.x", "LAYER.INDEX"),
        ("zero embed heads 3", "not split by head"),
        ("zero L3.z keys 2", "has no keys"),
        ("zero head 3.5 sometimes", "sometimes"),
        ("", "without any tweak"),
        ("blocks", "no tweak is called"),
        ("zero blocks.3.attn.hook_zz", "did you mean"),
        ("zero head 3.5 at 1 at 2", "twice"),
        ("set top_k -3", "top_k"),
        ("set seed -3", "negative"),
        ("mean L1.pattern", "no mean"),
        ("zero head 3.5 during lunch", "lunch"),
        ("send head 1.2 to hed 3.4 k from clean", "a receiver is `head 4.3 q`"),
        ("send head 1.2 to head 3.4 from clean", "cannot read the receiver"),
        ("send L1.q to logits from clean", "q is no sender"),
        ("copy L1.z at 3 from clean at 4 aligned by ends", "give one"),
        ("copy L1.pattern from clean aligned by ends", "same positions only"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line, words):
    with pytest.raises(InvivoError, match=words):
        Stack.of(line)


def test_a_plus_inside_quotes_does_not_split():
    stack = Stack.of('add 2 to logit " + " + zero head 1.0')
    assert [str(t) for t in stack] == ['add 2 to logit " + "', "zero head 1.0"]


@given(indices, st.integers(1, 40))
def test_index_lists_are_python_slices(text, size):
    try:
        got = index_list(text, size, "head")
    except InvivoError:
        return
    wanted = set()
    for part in text.split(","):
        if ":" in part:
            low, high = part.split(":")
            wanted |= set(range(size)[slice(int(low) if low else None, int(high) if high else None)])
        else:
            wanted.add(range(size)[int(part)])
    assert got == sorted(wanted)


@given(indices, st.integers(50, 60))
def test_positions_agree_with_index_lists_inside_the_prompt(text, length):
    try:
        got = index_list(text, length, "position")
    except InvivoError:
        return
    chosen = Positions.of(text, length)
    assert [p for p in range(length) if p in chosen] == got


def test_an_open_range_of_positions_goes_on_past_the_prompt():
    assert 99 in Positions.of("5:", 10)
    assert 99 not in Positions.of("5:10", 10)
    assert 9 in Positions.of("-1", 10)


def test_text_that_is_no_unicode_is_refused_and_odd_numbers_survive_json():
    with pytest.raises(InvivoError, match="the prompt is not Unicode text, from character 2"):
        Experiment(prompt="ab\udcff")
    from tests.samples import comparison

    made = comparison()
    odd = made.model_copy(update={"base": made.base.model_copy(update={"perplexity": float("inf")})})
    assert type(odd).from_json(odd.to_json()) == odd != made

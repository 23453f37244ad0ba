"""Loading a model and its tokenizer: fruitfly from the package, anything else from a folder or the Hugging Face hub.

Weights come from safetensors. Pickle files and a model's own code run only when asked for, because both can do
anything. What this module does not do: look inside (anatomy.py) or check (the engine does, when it wakes a model).
"""

from __future__ import annotations

from . import light as light  # before anything of transformers is imported

# isort: split

import hashlib
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from ..errors import BadText, Refused, UnknownName, nearest

FRUITFLY = Path(__file__).with_name("fruitfly")
BUILT_IN = {"fruitfly": FRUITFLY}
SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
HASHED_BYTES = 64 * 2**20  # a larger file would make the start noticeably slower


@dataclass(frozen=True)
class Loaded:
    """A Hugging Face model with its tokenizer, and which one it is."""

    hf: Any
    tokenizer: Any
    name: str
    revision: str
    allowed: tuple[str, ...] = ()  # what it was allowed to run: pickle, remote-code


def load(
    name: str = "fruitfly",
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    allow_remote_code: bool = False,
) -> Loaded:
    """Load a causal LM in evaluation mode.

    `name` is fruitfly, a folder, or a hub id. `device` defaults to a GPU if there is one; `dtype` to float32 on a CPU
    and to the checkpoint's own on a GPU. Raises UnknownName, BadText or Refused, each with the next step.
    """
    place = _device(device)
    source = BUILT_IN.get(name) or Path(name).expanduser()
    local = source.is_dir()
    if local:
        _check_folder(source, name, allow_pickle)
    elif name.startswith((".", "/", "~")) or source.exists():
        raise UnknownName(
            f"{name} is not a folder with a model", hint="give a folder that holds config.json and weights"
        )
    kind: Any = _dtype(dtype) or (torch.float32 if place.type == "cpu" else "auto")
    where = str(source) if local else name
    offline = not local and not hub_answers()
    common: dict[str, Any] = {"trust_remote_code": allow_remote_code, "local_files_only": local or offline}
    if revision is not None and not local:
        common["revision"] = revision
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            hf = AutoModelForCausalLM.from_pretrained(
                where, dtype=kind, use_safetensors=None if allow_pickle else True, **common
            )
            tokenizer = AutoTokenizer.from_pretrained(where, **common)
    except Exception as error:
        raise _explained(error, name, local, offline) from error
    hf = hf.eval().to(place)  # type: ignore[arg-type]
    for parameter in hf.parameters():
        parameter.requires_grad_(False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    allowed = tuple(what for what, yes in (("pickle", allow_pickle), ("remote-code", allow_remote_code)) if yes)
    return Loaded(hf, tokenizer, name, _fingerprint(source) if local else _hub_revision(hf, revision), allowed)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, transformers says nothing short of an error and draws no bar: what matters is raised, and said once."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def hub_answers(wait_s: float = 3.0) -> bool:
    """Whether the hub can be reached: asked once, where huggingface_hub alone would try for half a minute."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True  # let the proxy say
    where = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((where.hostname or "", where.port or 443), timeout=wait_s).close()
    except OSError:
        return False
    return True


def _device(device: str | None) -> torch.device:
    """The device asked for, or the best there is."""
    if device is None:
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UnknownName(
            f"there is no device {device!r} here", hint="`invivo doctor` shows the devices; cpu always works"
        ) from None
    return place


def _dtype(dtype: str | None) -> torch.dtype | None:
    """A number format by name. Raises UnknownName."""
    names = {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
        "fp32": torch.float32,
        "bf16": torch.bfloat16,
        "fp16": torch.float16,
        "float64": torch.float64,
    }
    if dtype is not None and dtype not in names:
        guess = nearest(dtype, names)
        raise UnknownName(
            f"no number format is called {dtype!r}",
            hint=(f"did you mean {guess!r}? " if guess else "") + "there are float32, bfloat16, float16",
        )
    return names.get(dtype or "")


def _check_folder(folder: Path, name: str, allow_pickle: bool) -> None:
    """Say what a folder lacks before transformers says it in its own words."""
    if not (folder / "config.json").exists():
        raise UnknownName(f"{name} holds no config.json", hint="give a folder that `save_pretrained` wrote")
    if not any((folder / f).exists() for f in SAFETENSORS):
        if any((folder / f).exists() for f in PICKLES) or list(folder.glob("*.bin")) or list(folder.glob("*.pt")):
            if not allow_pickle:
                raise Refused(
                    f"{name} holds pickled weights, which can run any code when they are loaded",
                    hint="if you trust where they come from, add --allow-pickle",
                )
        else:
            raise UnknownName(f"{name} holds no weights", hint="model.safetensors is missing")


def _explained(error: Exception, name: str, local: bool, offline: bool) -> Exception:
    """transformers' error in words that help."""
    text = str(error)
    if "trust_remote_code" in text:
        return Refused(f"{name} needs Python code of its own to run", hint="if you trust it, add --allow-remote-code")
    if "safetensors" in text and ("does not appear" in text or "no file named" in text.lower()):
        return Refused(
            f"{name} offers no safetensors weights, only pickled ones, which can run any code",
            hint="if you trust where they come from, add --allow-pickle",
        )
    if "Unrecognized configuration class" in text or "Unrecognized model" in text:
        return Refused(
            f"{name} is not a causal language model that transformers knows", hint="`invivo models` lists examples"
        )
    if local:
        return BadText(
            f"{name} cannot be loaded: {text.splitlines()[0] if text else type(error).__name__}",
            hint="give a folder that `save_pretrained` wrote, with its tokenizer",
        )
    guess = nearest(name, [known for known in BUILT_IN if known != name])
    why = (
        "the hub cannot be reached and it is not in the local cache"
        if offline
        else "the hub does not have it, or refuses it"
    )
    return UnknownName(
        f"no model {name!r}: {why}",
        hint=(f"did you mean {guess!r}? " if guess else "") + "`invivo models` lists what is here; a folder works too",
    )


def _fingerprint(folder: Path) -> str:
    """Which weights: the SHA-256 of the one file that holds them, as `sha256sum` gives it; where they are several
    files or large, `headers:` and a hash of each file's name, size and first MiB, which costs no time.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))  # the first are what is loaded
    if len(files) == 1 and files[0].stat().st_size <= HASHED_BYTES:
        with files[0].open("rb") as stream:
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(2**20))
    return f"headers:{digest.hexdigest()}"


def _hub_revision(hf: Any, revision: str | None) -> str:
    """The commit that the hub served."""
    return getattr(hf.config, "_commit_hash", None) or revision or "unknown"

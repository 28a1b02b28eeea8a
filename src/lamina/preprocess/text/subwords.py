"""Texts as parts of words: pairs of bytes that were merged where training texts share them, or a tokenizer of others.

Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units"; bytes are the smallest parts, as in
Radford et al. 2019, so that any text can be written and no part is unknown.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from lamina.config import DataError, LaminaError, RecipeError
from lamina.preprocess.text.characters import segments
from lamina.preprocess.text.ragged import Ragged

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
WHERE = "tokenizer"
LEAST, MOST_COUNTED = 2, 4_000_000  # times that a pair must come to be merged, and words that are counted
PADS = ("[PAD]", "<pad>", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>")
NO_PADDING = -1  # an id that no token has
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)
LARGEST = 1 << 26  # bytes of a tokenizer's file
PATIENCE, BYTES_PER_SECOND = 30, 1 << 16  # seconds to cut texts into tokens, and one more for so much of them

Answer = TypeVar("Answer")


class Pretrained(NamedTuple):
    """A tokenizer's file as it is, how many ids there are, and the one of padding: one more where the file has none."""

    text: str
    size: int
    padding: int


def import_tokenizers() -> Any:
    """Hugging Face `tokenizers`. Errors: LaminaError where it is not installed."""
    try:
        import tokenizers
    except ImportError:
        raise LaminaError("tokenizer: tokenizers is not installed. Install it: pip install 'lamina[text]'") from None
    return tokenizers


def alphabet() -> dict[str, int]:
    """The bytes, by the characters that stand for them in the library's files: those that can be printed for
    themselves, others for the characters from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted({*range(256)}.difference(printable))
    characters = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    return dict(sorted(characters.items()))


def learn_merges(counts: Mapping[str, int], size: int) -> tuple[str, ...]:
    """The pairs to merge, in order, of words and how often they come; `size`: bytes and merges in all."""
    hugging = import_tokenizers()
    trainer = hugging.trainers.BpeTrainer(
        vocab_size=size, min_frequency=LEAST, initial_alphabet=list(alphabet()), show_progress=False
    )
    tokenizer = _byte_level(hugging.models.BPE())
    share = min(1.0, MOST_COUNTED / max(sum(counts.values()), 1))
    words = ([word] * math.ceil(count * share) for word, count in sorted(counts.items()))
    tokenizer.train_from_iterator(words, trainer)
    return tuple(" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"])


def byte_pairs(merges: Iterable[str]) -> Any:
    """The tokenizer of merges; its ids are those of the bytes, then one for each merge."""
    pairs = [tuple(pair.split(" ")) for pair in merges]
    tokens = [*alphabet(), *("".join(pair) for pair in pairs)]
    return _byte_level(import_tokenizers().models.BPE({token: i for i, token in enumerate(tokens)}, pairs))


def token_bytes(merges: Iterable[str]) -> list[bytes]:
    """What each id of `byte_pairs` stands for."""
    table = alphabet()
    tokens = [*table, *(pair.replace(" ", "") for pair in merges)]
    return [bytes(table[character] for character in token) for token in tokens]


def _byte_level(model: Any) -> Any:
    hugging = import_tokenizers()
    tokenizer = hugging.Tokenizer(model)
    tokenizer.pre_tokenizer = hugging.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizer


def restore(text: str) -> Any:
    """The tokenizer of a file's text; how long texts may be is not the file's to say. Errors: LaminaError."""
    hugging = import_tokenizers()
    try:
        tokenizer = hugging.Tokenizer.from_str(text)
    except BaseException as error:  # the library ends with errors of its own, some of which are no `Exception`
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise LaminaError(str(error).partition("\n")[0][:200] or type(error).__name__) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode(texts: pa.Array, tokenizer: Any) -> Ragged:
    """Ids of texts without null, with the special tokens that a file puts around a text.

    Errors: DataError where a regular expression of the file takes too long with one of them.
    """
    encodings = _within(
        PATIENCE + texts.nbytes / BYTES_PER_SECOND, lambda: tokenizer.encode_batch_fast(texts.to_pylist())
    )
    offsets = np.cumsum([0, *(len(one) for one in encodings)])
    return Ragged(np.fromiter((i for one in encodings for i in one.ids), np.int32, int(offsets[-1])), offsets)


def _within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """What the library answers in so many seconds. Errors: DataError."""
    answers, errors = list[Answer](), list[BaseException]()

    def work() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # an expression that is given up ends in one that is no `Exception`
            errors.append(error)

    thread = Thread(target=work, daemon=True)  # nothing stops an expression that is being matched
    thread.start()
    thread.join(seconds)
    if answers:
        return answers[0]
    reason = str(errors[0]).partition("\n")[0][:200] if errors else f"more than {seconds:.0f} seconds"
    cure = f"Shorten it, or look at the regular expressions of {FILE}"
    raise DataError(f"{WHERE}: a text cannot be cut into tokens ({reason}). {cure}.")


def encode_segments(texts: pa.Array, tokenizer: Any) -> Ragged:
    """The same by `byte_pairs`, where each different segment of texts is encoded once."""
    tokens, offsets = segments(texts)
    coded = tokens.dictionary_encode()
    ids, starts = encode(coded.dictionary, tokenizer)
    places = coded.indices.to_numpy(zero_copy_only=False)
    lengths = np.diff(starts)[places]
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    source = np.repeat(starts[places] - ends[:-1], lengths) + np.arange(ends[-1])
    return Ragged(ids[source], ends[offsets])


def decode_pieces(ids: Iterable[int], tokenizer: Any) -> Iterator[str]:
    """The text of ids as they come, a piece for each, "" while a character is not all there."""
    stream = import_tokenizers().decoders.DecodeStream(skip_special_tokens=True)
    for one in ids:
        yield stream.step(tokenizer, one) or ""


def read(name: str) -> Pretrained:
    """A tokenizer by its file, a folder that holds `tokenizer.json`, or its name on the Hugging Face hub.

    Errors: RecipeError where there is none, or it cannot be read.
    """
    path = _find(name)
    if path.stat().st_size > LARGEST:
        raise RecipeError([f"{WHERE}: {path} is larger than {LARGEST >> 20} MB, which no tokenizer is."])
    import_tokenizers()
    try:
        text = path.read_text("utf-8")
        tokenizer = restore(text)
    except (LaminaError, OSError, UnicodeDecodeError) as error:
        raise RecipeError([f"{WHERE}: {path} is no tokenizer of Hugging Face ({error})."]) from None
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    size = max(vocabulary.values(), default=0) + 1
    padding = _padding(json.loads(text), path, vocabulary)
    return Pretrained(text, size, padding) if 0 <= padding < size else Pretrained(text, size + 1, size)


def _find(name: str) -> Path:
    """A file or a folder that is there, else the copy of a name of the hub that was downloaded before."""
    path = Path(name).expanduser()
    path = path / FILE if path.is_dir() else path
    if path.is_file():
        return path
    if not HUB_NAME.fullmatch(name):
        raise RecipeError([f"{WHERE}: there is no file {path}. Name a {FILE}, or a folder that holds one."])
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(name, FILE, local_files_only=True))
    except Exception:  # whatever the library of the hub raises for a name that is not in its cache
        cure = f"On a connected machine: hf download {name} --local-dir DIR, then name DIR"
        raise RecipeError(
            [f"{WHERE}: {name} is no {FILE}, no folder, and no model that was downloaded. {cure}."]
        ) from None


def _padding(file: dict[str, Any], path: Path, vocabulary: dict[str, int]) -> int:
    """The id of padding: by the file, by the settings beside it, or by its usual names."""
    if isinstance(own := file.get("padding"), dict) and isinstance(own.get("pad_id"), int):
        return own["pad_id"]
    names: list[str] = list(PADS)
    settings = path.with_name(SETTINGS)
    if settings.is_file():
        token = json.loads(settings.read_text("utf-8")).get("pad_token")
        names.insert(0, token.get("content", "") if isinstance(token, dict) else str(token))
    return next((vocabulary[name] for name in names if name in vocabulary), NO_PADDING)

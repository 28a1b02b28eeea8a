"""Tiny networks of Hugging Face with random weights and tokenizers of their own, as folders like those of the hub."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
LONGEST, SIDE = 64, 32
SMALL = {**SIZES, "max_position_embeddings": LONGEST, "initializer_range": 0.2}
LABELS = {0: "bad", 1: "so so", 2: "good"}
GOOD, BAD = ("good", "warm", "lovely", "bright"), ("bad", "dull", "cold", "slow")
OTHERS = ("a", "film", "story", "with", "and", "the", "actor", "scene", "music", "end")


def reviews(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts of up to 20 words, two of which say the label."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(count):
        words = list(rng.choice(OTHERS, rng.integers(3, 18)))
        for word in rng.choice(GOOD if i % 2 else BAD, 2):
            words.insert(int(rng.integers(0, len(words) + 1)), str(word))
        rows.append({"text": " ".join(map(str, words)), "label": "good" if i % 2 else "bad"})
    return rows


def word_pieces(folder: Path, first: tuple[str, str, str, str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")) -> int:
    """A tokenizer of word pieces, with special tokens around a text; how many ids it has."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token=first[first.index("[UNK]")]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    texts = [row["text"] for row in reviews(100)]
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=list(first), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    special = [(name, first.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    return tokenizer.get_vocab_size()


def byte_pairs(folder: Path) -> int:
    """A tokenizer of bytes and pairs of them, without padding, as that of GPT-2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([row["text"] for row in reviews(100)], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def configs(name: str, size: int) -> Any:
    """The settings of a family; `size`: ids of its tokenizer."""
    import transformers as t

    small = {**SMALL, "vocab_size": size}
    padded = {**small, "pad_token_id": 1, "max_position_embeddings": LONGEST + 2, "bos_token_id": 0, "eos_token_id": 2}
    distil = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": LONGEST}
    modern = {"local_attention": 8, "global_attn_every_n_layers": 2, "bos_token_id": 2, "eos_token_id": 3}
    relative = {"position_buckets": 16, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return {
        "bert": lambda: t.BertConfig(**small),
        "distilbert": lambda: t.DistilBertConfig(**distil, vocab_size=size, initializer_range=0.2),
        "roberta": lambda: t.RobertaConfig(**padded),
        "electra": lambda: t.ElectraConfig(**small, embedding_size=16),
        "modernbert": lambda: t.ModernBertConfig(**small, **modern, pad_token_id=0, cls_token_id=2, sep_token_id=3),
        "deberta": lambda: t.DebertaV2Config(**small, **relative, relative_attention=True, share_att_key=True),
        "gpt2": lambda: t.GPT2Config(
            n_embd=32, n_layer=2, n_head=2, n_positions=LONGEST, vocab_size=size, initializer_range=0.2, **ends
        ),
        "llama": lambda: t.LlamaConfig(**small, **ends, num_key_value_heads=1),
        "vit": lambda: t.ViTConfig(**SIZES, image_size=SIDE, patch_size=8, initializer_range=0.2, id2label=LABELS),
    }[name]()  # fmt: skip


def write(folder: Path, name: str, auto: str = "AutoModel", **settings: Any) -> Path:
    """The folder of a tiny network of a family, by a class of transformers; `settings` change its config."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    special = ("[CLS]", "[PAD]", "[SEP]", "[UNK]") if name == "roberta" else ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    size = byte_pairs(folder) if name in ("gpt2", "llama") else word_pieces(folder, special)
    config = configs(name, size)
    for key, value in settings.items():
        setattr(config, key, value)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        getattr(transformers, auto).from_config(config).save_pretrained(folder)
    if name == "vit":
        image = {
            "size": {"height": SIDE, "width": SIDE},
            "image_mean": [0.5, 0.4, 0.6],
            "image_std": [0.2, 0.3, 0.25],
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(image))
    return folder

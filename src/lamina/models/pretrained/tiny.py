"""Tiny networks of texts with random weights, to try architectures with."""

import json
from pathlib import Path

import torch

from lamina.models.pretrained import hub
from lamina.preprocess.text import subwords
from lamina.resources import disk

WIDTH, SPECIAL = 64, ("[PAD]", "[UNK]")


def encoder(folder: Path, vocabulary: int) -> Path:
    """The folder of a BERT of two layers whose tokenizer knows as many words: padding, unknown, `w2`, `w3` ..."""
    path = folder / f"bert-{vocabulary}"
    if (path / "model.safetensors").is_file():
        return path
    tokenizers, transformers = subwords.import_tokenizers(), hub.import_transformers()
    words = [*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), vocabulary))]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, SPECIAL[1]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    settings = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=WIDTH
    )
    with hub.quietly(transformers), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BertModel(settings, add_pooling_layer=False).save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    disk.write_text(path / "tokenizer_config.json", json.dumps({"pad_token": SPECIAL[0]}))
    return path


def decoder(folder: Path, vocabulary: int) -> Path:
    """The folder of a GPT-2 of two layers for the next of as many ids."""
    path = folder / f"gpt2-{vocabulary}"
    if (path / "model.safetensors").is_file():
        return path
    transformers, last = hub.import_transformers(), vocabulary - 1
    settings = transformers.GPT2Config(
        vocab_size=vocabulary, n_embd=WIDTH, n_layer=2, n_head=2, n_positions=64, bos_token_id=last, eos_token_id=last
    )
    with hub.quietly(transformers), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.GPT2LMHeadModel(settings).save_pretrained(path)
    return path

"""A sentence embedder at toy size: a random BERT that knows single letters and three words."""

from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

WIDTH = 16


def save_toy_teacher(folder: Path) -> Path:
    """Write model and tokenizer into a folder and return it."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "rain", "the", *letters]
    entries += [f"##{letter}" for letter in letters]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    BertTokenizerFast(vocab=vocabulary, model_max_length=64).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(entries),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder

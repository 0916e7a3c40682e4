"""The tokenizer's training: a byte-level BPE of the corpus' phrases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from woosh.outside_files import read_object
from woosh.whole_files import write_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # in RoBERTa's order of ids


def train_tokenizer(phrases: Sequence[str], size: int, max_tokens: int) -> PreTrainedTokenizerFast:
    """Train a lower-casing byte-level BPE whose special tokens have RoBERTa's ids.

    Args:
        phrases: what to learn the merges from.
        size: entries at most, at least 261: the bytes and the special tokens.
        max_tokens: where the tokenizer cuts texts, the special tokens included.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    begin, padding, end, unknown, mask = SPECIAL_TOKENS
    tokenizer = Tokenizer(models.BPE(unk_token=unknown))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace("_", " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(phrases, trainer)
    ends = [(token, SPECIAL_TOKENS.index(token)) for token in (begin, end)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_tokens,
        model_input_names=["input_ids", "attention_mask"],
        bos_token=begin,
        cls_token=begin,
        pad_token=padding,
        eos_token=end,
        sep_token=end,
        unk_token=unknown,
        mask_token=mask,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save under the class name that transformers 4 and 5 both load (5 writes a new one)."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = read_object(path) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    write_text(path, json.dumps(settings, indent=2) + "\n")

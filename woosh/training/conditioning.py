"""Text encoders that a training starts from or learns beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from woosh.generation.text_encoder import WooshTextEncoder, load_tokenizer, tokenize
from woosh.outside_files import read_object
from woosh.weight_files import load_saved

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TextConditioner(NamedTuple):
    """A frozen text encoder with its tokenizer."""

    encoder: WooshTextEncoder
    tokenizer: PreTrainedTokenizerBase

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Hidden states (B, L, W) and mask (B, L) of texts, on the encoder's device."""
        ids, mask = tokenize(self.tokenizer, texts, self.encoder.config.max_tokens)
        ids, mask = ids.to(self.encoder.device), mask.to(self.encoder.device)
        return self.encoder(ids, mask), mask


def load_text_conditioner(
    encoder: str | Path, tokenizer: str | Path, device: torch.device
) -> TextConditioner:
    """Text conditioner from the folders of a saved `WooshTextEncoder` and of its tokenizer.

    Raises:
        FileNotFoundError: a folder is missing.
    """
    loaded = load_saved(WooshTextEncoder, encoder).to(device).eval().requires_grad_(False)
    if not Path(tokenizer).is_dir():
        raise FileNotFoundError(f"no tokenizer in {tokenizer}: name its folder")
    return TextConditioner(loaded, load_tokenizer(tokenizer))


def load_optional_text(
    encoder: str | None, tokenizer: str | None, device: torch.device
) -> TextConditioner | None:
    """Text conditioner of two folders, or none where a configuration has null for both; see `load_text_conditioner`.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: one of them is null.
    """
    if encoder is None and tokenizer is None:
        return None
    if encoder is None or tokenizer is None:
        raise ValueError("name both text_encoder and tokenizer, or neither")
    return load_text_conditioner(encoder, tokenizer, device)


def load_text_encoder(name_or_folder: str | Path, max_tokens: int) -> WooshTextEncoder:
    """Text encoder whose output is its last layer, from a folder of ours or a RoBERTa of the Hugging Face hub.

    Args:
        name_or_folder: folder of a saved `WooshTextEncoder`, or folder or hub name of a `RobertaModel`.
        max_tokens: L that the encoder is to have.

    Raises:
        FileNotFoundError: no such folder, and the hub cannot be reached or has no such name.
        ValueError: a saved encoder with another `max_tokens`, or whose output is not its last layer.
    """
    from transformers import RobertaModel

    config_file = Path(name_or_folder) / "config.json"
    saved = read_object(config_file) if config_file.is_file() else {}
    if saved.get("_class_name") == "WooshTextEncoder":
        encoder = load_saved(WooshTextEncoder, name_or_folder)
        config = encoder.config
        if config.max_tokens != max_tokens or config.hidden_layer not in (-1, config.layers):
            raise ValueError(
                f"the text encoder in {name_or_folder} gives layer {config.hidden_layer} of "
                f"{config.max_tokens} tokens; an aligner takes the last layer (-1) of {max_tokens}"
            )
        return encoder
    try:
        roberta = RobertaModel.from_pretrained(str(name_or_folder), add_pooling_layer=False)
    except OSError as error:
        raise FileNotFoundError(
            f"no text encoder at {str(name_or_folder)!r}, neither as a folder nor on the Hugging Face hub"
        ) from error
    sizes = roberta.config
    encoder = WooshTextEncoder(
        vocabulary_size=sizes.vocab_size,
        width=sizes.hidden_size,
        layers=sizes.num_hidden_layers,
        heads=sizes.num_attention_heads,
        inner_width=sizes.intermediate_size,
        max_tokens=max_tokens,
        hidden_layer=-1,
        positions=sizes.max_position_embeddings,
    )
    encoder.model.load_state_dict(roberta.state_dict(), strict=True)
    return encoder

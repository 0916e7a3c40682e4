"""From a text to the hidden states that condition the transformer: a RoBERTa encoder and its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from woosh.generation.roberta import PADDING_ID, Roberta
from woosh.parts import ConfigMixin, ModelMixin, register_to_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZER_NAME = "roberta-large"


class WooshTextEncoder(ModelMixin, ConfigMixin):
    """One hidden layer of a RoBERTa encoder (arXiv 1907.11692), for all tokens of a text.

    The defaults are those of the released text conditioners.

    Args:
        vocabulary_size: entries of the tokenizer.
        width: channels of the hidden states, W.
        layers: transformer layers.
        heads: attention heads.
        inner_width: hidden channels of the feed-forward parts.
        max_tokens: L, the number of tokens that texts are padded or cut to.
        hidden_layer: index into the embeddings followed by the output of every layer; -1 is the
            last layer, -2 the one before.
        positions: rows of the position table, at least `max_tokens` + 2 (RoBERTa leaves the first
            two unused), which is what None gives.
    """

    __module__ = "woosh"  # the name that model_index.json stores, wherever this file lies

    @register_to_config
    def __init__(
        self,
        vocabulary_size: int = 50265,
        width: int = 1024,
        layers: int = 24,
        heads: int = 16,
        inner_width: int = 4096,
        max_tokens: int = 77,
        hidden_layer: int = -2,
        positions: int | None = None,
    ) -> None:
        super().__init__()
        if not -layers - 1 <= hidden_layer <= layers:
            raise ValueError(
                f"hidden_layer {hidden_layer} is none of the {layers + 1} of {layers} layers"
            )
        least = max_tokens + PADDING_ID + 1
        if positions is not None and positions < least:
            raise ValueError(f"positions is {positions}; {max_tokens} tokens need {least}")
        self.hidden_layer = hidden_layer
        if width % heads:
            raise ValueError(f"width {width} does not split into {heads} heads")
        self.model = Roberta(vocabulary_size, positions or least, width, layers, heads, inner_width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states (B, L, W) of token ids (B, L) with their mask (B, L), nonzero at real tokens."""
        states = self.model(input_ids, attention_mask)
        return states[self.hidden_layer]


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int
) -> tuple[Tensor, Tensor]:
    """Token ids and mask, both (B, max_tokens) int64: every text padded or cut to that number."""
    encoded = tokenizer(
        list(texts),
        padding="max_length",
        truncation=True,
        max_length=max_tokens,
        return_tensors="pt",
    )
    return encoded["input_ids"], encoded["attention_mask"]


def read_tokenizer(cls: Any, folder: str | Path) -> Any:
    """The tokenizer in a folder, of one of transformers' classes, without network.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it holds no tokenizer, or a damaged one.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"no tokenizer in {folder}: there is no such folder")
    try:
        tokenizer = cls.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # what the tokenizers library raises has no class of its own
        raise ValueError(f"{folder} holds no tokenizer that can be read: {error}") from error
    if "attention_mask" not in tokenizer.model_input_names:
        raise ValueError(f"{folder} holds a tokenizer that gives no attention_mask: copy it again")
    return tokenizer


def check_vocabulary(entries: int, taken: int) -> None:
    """Raise unless a text encoder knows as many entries as its tokenizer has.

    Raises:
        ValueError: it takes fewer.
    """
    if entries > taken:
        raise ValueError(
            f"the tokenizer has {entries} entries, but the text conditioner takes {taken}; use the "
            "tokenizer that belongs to it"
        )


def load_tokenizer(name_or_folder: str | Path = TOKENIZER_NAME) -> PreTrainedTokenizerBase:
    """Tokenizer from a local folder, or from the Hugging Face hub by its name.

    Raises:
        FileNotFoundError: no folder with such a tokenizer, and the hub cannot be reached or has no such name.
        ValueError: the tokenizer's padding id is not RoBERTa's.
    """
    from transformers import AutoTokenizer

    try:
        if Path(name_or_folder).is_dir():
            tokenizer = read_tokenizer(AutoTokenizer, name_or_folder)
        else:
            tokenizer = AutoTokenizer.from_pretrained(str(name_or_folder))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"no tokenizer at {str(name_or_folder)!r}, neither as a folder nor on the Hugging Face hub. "
            f"Offline, download the files of {TOKENIZER_NAME} elsewhere and name their folder "
            "with --tokenizer DIR"
        ) from error
    if tokenizer.pad_token_id != PADDING_ID:
        raise ValueError(
            f"the tokenizer at {str(name_or_folder)!r} pads with id {tokenizer.pad_token_id}, but RoBERTa "
            f"counts positions from padding id {PADDING_ID}; use one of the RoBERTa family"
        )
    return tokenizer

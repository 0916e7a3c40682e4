"""Sounds and texts in one space: two towers, each with a linear head, compared by cosine.

The released aligner has PaSST and RoBERTa-large as its towers; the built-in one a MobileNet and
the text encoder of the generator. A folder holds `model_index.json`, `audio_encoder/`, `head/`,
and either `text_encoder/` and `tokenizer/` or, in the index, the name of a built-in model whose
text encoder it shares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from woosh.catalogue import find_aligner, find_model, read_aligner_index
from woosh.generation.text_encoder import WooshTextEncoder, load_tokenizer, tokenize
from woosh.outside_files import shown
from woosh.parts import ConfigMixin, ModelMixin, register_to_config
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.passt import Passt
from woosh.weight_files import load_saved

SEGMENT_SECONDS = 5
LONGEST_SECONDS = 60  # of a sound; what comes after is not heard
SEGMENTS_AT_ONCE = 16  # bounds the memory of long sounds
AUDIO_ENCODERS = {"Passt": Passt, "MobileNet": MobileNet}


class ClapHead(ModelMixin, ConfigMixin):
    """From the towers' features to the common space, and how these features are made.

    Args:
        audio_width: features of a segment of sound.
        text_width: channels of the text's hidden states.
        width: of the common space, D.
        text_pooling: "first" takes the hidden state of the first token, "mean" that of all tokens.
        padding: what fills a segment that the sound does not: "zeros", or "repeat" for the sound
            from its beginning on.
        released_mean: the released way of dividing. A rest below 5 % of a segment is not heard, but
            counts in the divisor of the mean over segments all the same; the bias of the head keeps
            this from being a mere factor.
    """

    @register_to_config
    def __init__(
        self,
        audio_width: int = 768,
        text_width: int = 1024,
        width: int = 1024,
        text_pooling: str = "first",
        padding: str = "zeros",
        released_mean: bool = True,
    ) -> None:
        super().__init__()
        if text_pooling not in ("first", "mean"):
            raise ValueError(f"text_pooling must be first or mean, got {text_pooling!r}")
        if padding not in ("zeros", "repeat"):
            raise ValueError(f"padding must be zeros or repeat, got {padding!r}")
        self.text_pooling, self.padding, self.released_mean = text_pooling, padding, released_mean
        self.audio = nn.Linear(audio_width, width)
        self.text = nn.Linear(text_width, width)

    def embed_states(self, states: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (B, L, W) and mask (B, L) of texts -> unit embeddings (B, D)."""
        if self.text_pooling == "first":
            pooled = states[:, 0]
        else:
            weight = mask[..., None].to(states.dtype)
            pooled = (states * weight).sum(dim=1) / weight.sum(dim=1)
        return functional.normalize(self.text(pooled), dim=-1)


@dataclass(frozen=True)
class WooshClap:
    """The aligner.

    Args:
        audio_encoder: log-mel spectrograms -> features.
        head: features -> common space.
        text_encoder: token ids -> last hidden states.
        tokenizer: text -> token ids.
    """

    audio_encoder: Passt | MobileNet
    head: ClapHead
    text_encoder: WooshTextEncoder
    tokenizer: PreTrainedTokenizerBase
    log_mel: LogMel

    @property
    def sample_rate(self) -> int:
        """Of the sounds that `embed_audio` takes, in Hz."""
        return self.log_mel.sample_rate

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return self.head.config.width

    def embed_audio(self, audio: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Unit embeddings (B, D) of sounds, from the mean of the features of their segments of 5 s.

        Args:
            audio: mono (B, S) at `sample_rate`, padded behind to a common length.
            lengths: true lengths in samples (B,), at least 1; None: all have the full length.

        Raises:
            ValueError: audio that is not (B, S), or a length out of its range.
        """
        if audio.ndim != 2:
            raise ValueError(f"audio must be (batch, samples), got {tuple(audio.shape)}")
        if lengths is None:
            lengths = torch.full((len(audio),), audio.shape[1])
        lengths = lengths.cpu()
        if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= audio.shape[1]:
            raise ValueError(f"lengths {lengths.tolist()} are not in 1 to {audio.shape[1]}")
        lengths = lengths.clamp(max=LONGEST_SECONDS * self.sample_rate)
        size = SEGMENT_SECONDS * self.sample_rate
        heard, divisors = segment_counts(lengths, size, self.head.released_mean)
        parts = cut_segments(audio, lengths, heard, size, self.head.padding)
        features = torch.cat(
            [
                features_of(self.audio_encoder, self.log_mel(part))
                for part in parts.split(SEGMENTS_AT_ONCE)
            ]
        )  # (N, audio_width) of all segments
        sums = torch.stack([part.sum(dim=0) for part in features.split(heard.tolist())])
        means = sums / divisors[:, None].to(audio.device)  # (B, audio_width)
        return functional.normalize(self.head.audio(means), dim=-1)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings (B, D) of texts, which are brought to the form of the captions first."""
        texts = [normalise_text(text) for text in texts]
        ids, mask = tokenize(self.tokenizer, texts, self.text_encoder.config.max_tokens)
        return self.embed_tokens(ids.to(self.head.device), mask.to(self.head.device))

    def embed_tokens(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Unit embeddings (B, D) of token ids and their mask, both (B, L)."""
        states = self.text_encoder(input_ids, attention_mask)
        return self.head.embed_states(states, attention_mask)


def features_of(audio_encoder: Passt | MobileNet, log_mel: Tensor) -> Tensor:
    """Log-mel (B, bands, T) -> features (B, F): PaSST's mean of its two tokens, MobileNet's mean map."""
    if isinstance(audio_encoder, Passt):
        return audio_encoder(log_mel).features
    return audio_encoder(log_mel[:, None]).features


def segment_counts(lengths: Tensor, size: int, released_mean: bool) -> tuple[Tensor, Tensor]:
    """How many segments of each sound are heard, and by what their sum is divided, both (B,).

    A last segment that holds less than 5 % is dropped. The released aligner rounds so for the longest
    sound of the batch, hears no segment after it, and divides by the segments that a sound begins.

    Args:
        lengths: samples of each sound (B,).
        size: samples of a segment.
        released_mean: count as the released aligner does.
    """
    if not released_mean:
        counts = rounded_segments(lengths, size)
        return counts, counts
    most = rounded_segments(lengths.max(), size)
    begun = torch.ceil(lengths / size).long()
    return begun.clamp(max=most), begun if most > 1 else torch.ones_like(begun)


def rounded_segments(lengths: Tensor, size: int) -> Tensor:
    """Segments that sounds fill, a rest below a twentieth left out: max(1, ceil(round(10 L / N) / 10))."""
    tenths = torch.round(10 * lengths.double() / size)
    return torch.ceil(tenths / 10).long().clamp(min=1)


def cut_segments(audio: Tensor, lengths: Tensor, counts: Tensor, size: int, padding: str) -> Tensor:
    """Sounds (B, S) of true lengths (B,) as `counts` (B,) segments each: (N, size), those of the first one first."""
    return torch.cat(
        [
            segments(sound[: int(length)], int(count), size, padding)
            for sound, length, count in zip(audio, lengths, counts, strict=True)
        ]
    )


def segments(audio: Tensor, count: int, size: int, padding: str) -> Tensor:
    """A sound (S,) as segments (count, size), filled up by zeros or by the sound from its beginning on."""
    total = count * size
    if padding == "repeat":
        audio = audio[torch.arange(total, device=audio.device) % len(audio)]
    return functional.pad(audio[:total], (0, max(0, total - len(audio)))).reshape(count, size)


def normalise_text(text: str) -> str:
    """A text as the aligner's captions are: lower case, single blanks, none missing after a comma, no comma outside."""
    text = re.sub(r",\s*", ", ", text.lower())
    text = " ".join(text.split())
    return text.strip(" ,")


def load_clap(
    name: str | Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> WooshClap:
    """An aligner from a built-in name or its folder, ready to embed.

    Raises:
        FileNotFoundError: no such name or folder, or a part of it is missing.
        ValueError: the folder holds something else.
    """
    folder = find_aligner(str(name))
    index = read_aligner_index(folder)
    shared = index.text_encoder_of
    try:
        text_folder = folder if shared is None else find_model(shared)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"the text encoder of {folder} is not there: {error}") from error
    if index.audio_encoder not in AUDIO_ENCODERS:
        raise ValueError(
            f"the audio_encoder of {folder} is {shown(index.audio_encoder)}; it must be one of "
            f"{', '.join(AUDIO_ENCODERS)}"
        )
    encoder_class = AUDIO_ENCODERS[index.audio_encoder]

    def load(kind: Any, place: Path) -> Any:
        return load_saved(kind, place, dtype).to(device).eval()

    return WooshClap(
        audio_encoder=load(encoder_class, folder / "audio_encoder"),
        head=load(ClapHead, folder / "head"),
        text_encoder=load(WooshTextEncoder, text_folder / "text_encoder"),
        tokenizer=load_tokenizer(text_folder / "tokenizer"),
        log_mel=LogMel(),
    )


def save_clap(clap: WooshClap, folder: Path, text_encoder_of: str | None = None) -> None:
    """Write an aligner's folder.

    Args:
        clap: the aligner.
        folder: to write; made if missing.
        text_encoder_of: built-in model that holds the very text encoder and tokenizer, which are
            then not written.
    """
    clap.audio_encoder.save_pretrained(folder / "audio_encoder")
    clap.head.save_pretrained(folder / "head")
    if text_encoder_of is None:
        clap.text_encoder.save_pretrained(folder / "text_encoder")
        clap.tokenizer.save_pretrained(folder / "tokenizer")
    write_index(folder, type(clap.audio_encoder).__name__, text_encoder_of)


def write_index(folder: Path, audio_encoder: str, text_encoder_of: str | None = None) -> None:
    """Write `model_index.json`, which tells what the folder's parts are."""
    index = {"_class_name": "WooshClap", "audio_encoder": audio_encoder}
    if text_encoder_of is not None:
        index["text_encoder_of"] = text_encoder_of
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


@torch.inference_mode()
def embed_sounds(clap: WooshClap, sounds: Sequence[np.ndarray]) -> Tensor:
    """Unit embeddings (N, D) on the CPU of mono sounds (S,) at the aligner's rate, one by one."""
    device = clap.head.device
    rows = [clap.embed_audio(torch.from_numpy(sound)[None].to(device)) for sound in sounds]
    return torch.cat(rows).float().cpu()


@torch.inference_mode()
def embed_texts(clap: WooshClap, texts: Sequence[str], batch_size: int = 64) -> Tensor:
    """Unit embeddings (N, D) of texts on the CPU."""
    parts = [texts[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    return torch.cat([clap.embed_text(part) for part in parts]).float().cpu()

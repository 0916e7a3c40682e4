"""The released aligner's format: its options and tensor names beside those of our modules."""

from __future__ import annotations

import torch

from woosh.conversion.layouts import (
    Config,
    Layout,
    Tensors,
    check_options,
    count_layers,
    describe_text,
    option,
    shape_of,
)
from woosh.embeddings.clap import SEGMENT_SECONDS, ClapHead
from woosh.taggers.log_mel import LogMel
from woosh.taggers.passt import PATCH_SIZE, Passt

CLAP_OPTIONS = {"normalize": True, "text_preprocessing": "no_op"}
AUDIO_OPTIONS = {
    "name": "passt_no",
    "sample_rate": LogMel().sample_rate,
    "segment_length": SEGMENT_SECONDS,
    "aggregate": "mean",
    "type": "embedding",
    "adopt_n_layers": 0,
    "eval_max_sec": 60,
    "mask_attention": False,
    "s_patchout_t": 0,
    "s_patchout_f": 0,
}
SENTENCE_OPTIONS = {"adopt_n_layers": 0, "pool_type": "eos", "add_pooling_layer": True}
HEAD_NAMES = {"audio": "audio_head.0", "text": "sentence_head.0"}
AUDIO_ROOT = "audio_frontend.model."


def is_clap(config: Config) -> bool:
    """Whether a released configuration is that of an aligner."""
    return "audio" in config and "sentence" in config


def clap_layouts(config: Config, tensors: Tensors) -> dict[str, Layout]:
    """Layouts of the aligner's parts by our names, over the tensors of both its files.

    Raises:
        ValueError: an option of another value, or a tensor without a place.
    """
    check_options(config, CLAP_OPTIONS)
    check_options(option(config, "audio"), AUDIO_OPTIONS)
    sentence = option(config, "sentence")
    check_options(sentence, SENTENCE_OPTIONS)
    shared_width = option(config, "shared_representation_size")
    roots = (AUDIO_ROOT, "sentence_frontend.", *HEAD_NAMES.values())
    strange = [name for name in tensors if not name.startswith(roots)]
    if strange:
        raise ValueError(f"the tensors do not fit an aligner: {strange[0]} is left over")
    text = describe_text(
        {name: t for name, t in tensors.items() if name.startswith("sentence_")},
        max_tokens=option(sentence, "max_sentence_tokens"),
        hidden_layer=-1,
        shared_width=shared_width,
    )
    heads = {f"sentence_head.0.{name}" for name in ("weight", "bias")}
    text = text._replace(unused={n: s for n, s in text.unused.items() if n not in heads})
    return {
        "audio_encoder": audio_layout(tensors),
        "head": head_layout(shared_width, tensors),
        "text_encoder": text,
    }


def audio_layout(tensors: Tensors) -> Layout:
    """Layout of the audio tower: patches that do not overlap, sizes from shapes, heads of 64 channels."""
    rows, columns = (
        shape_of(tensors, f"{AUDIO_ROOT}{axis}_new_pos_embed", 4) for axis in ("freq", "time")
    )
    classes, width = shape_of(tensors, f"{AUDIO_ROOT}head.1.weight", 2)
    if rows[2] != LogMel().bands // PATCH_SIZE:
        raise ValueError(
            f"{AUDIO_ROOT}freq_new_pos_embed has {rows[2]} rows; 128 bands of 16 have 8"
        )
    with torch.device("meta"):
        module = Passt(
            width=width,
            depth=count_layers(tensors, f"{AUDIO_ROOT}blocks."),
            heads=width // 64,
            stride=PATCH_SIZE,
            frames=columns[3] * PATCH_SIZE,
            classes=classes,
            scrambled_heads=True,
        )
    names = {name: AUDIO_ROOT + name for name in module.state_dict()}
    return Layout(module, names, unused={}, computed={})


def head_layout(width: int, tensors: Tensors) -> Layout:
    """Layout of the two linear heads."""
    with torch.device("meta"):
        module = ClapHead(
            audio_width=shape_of(tensors, "audio_head.0.weight", 2)[1],
            text_width=shape_of(tensors, "sentence_head.0.weight", 2)[1],
            width=width,
        )
    names = {}
    for name in module.state_dict():
        part, value = name.split(".")
        names[name] = f"{HEAD_NAMES[part]}.{value}"
    return Layout(module, names, unused={}, computed={})

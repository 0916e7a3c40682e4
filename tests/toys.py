"""The real classes at toy size, with fixed random weights: a pipeline that runs in milliseconds."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from transformers import PreTrainedTokenizerFast

from woosh.audio import is_silent
from woosh.autoencoder import WooshAutoencoder, WooshMelAutoencoder
from woosh.embeddings.clap import ClapHead, WooshClap
from woosh.generation.pipeline import WooshPipeline
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.generation.transformer import WooshTransformer
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.video.synchformer import Synchformer
from woosh.video.visual import VisualEncoder

TOKENS = 12
TEXT_WIDTH = 16
CHANNELS = 8
SENTENCES = (
    "a dog barking in the rain",
    "sea waves",
    "a clock ticking",
    "crackling fire, helicopter",
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on a few sentences, with RoBERTa's special tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )


def make_autoencoder() -> WooshAutoencoder:
    """48 kHz, 100 latent frames of 8 channels per second."""
    return WooshAutoencoder(
        latent_channels=CHANNELS, width=16, inner_width=24, encoder_layers=1, decoder_layers=1
    )


def make_mel_autoencoder(width: int = 16) -> WooshMelAutoencoder:
    """48 kHz, 25 latent frames of 8 channels per second, of components along the diagonals of a random turn."""
    model = WooshMelAutoencoder(
        latent_channels=CHANNELS, width=width, inner_width=24, detail_layers=2
    )
    generator = torch.Generator().manual_seed(0)
    size = len(model.mean)
    turn, _ = torch.linalg.qr(torch.randn(size, size, generator=generator))
    model.components.copy_(turn)
    model.deviations.copy_(torch.linspace(4.0, 0.1, size))
    model.mean.fill_(3.0)
    return model


def make_transformer(
    flow_map: bool = False,
    max_frames: int = 501,
    channels: int = CHANNELS,
    linear_skip: bool = False,
    video_channels: int | None = None,
    width: int = 32,
    summary: bool = False,
) -> WooshTransformer:
    """One joint and one fused block, two latent frames per token."""
    return WooshTransformer(
        latent_channels=channels,
        text_width=TEXT_WIDTH,
        text_tokens=TOKENS,
        width=width,
        inner_width=2 * width,
        joint_blocks=1,
        fused_blocks=1,
        heads=2,
        rotary_channels=16,
        max_frames=max_frames,
        time_features=16,
        rotary_factor=1.0,
        patch_size=2,
        flow_map=flow_map,
        linear_skip=linear_skip,
        video_channels=video_channels,
        summary=summary,
    )


def make_text_encoder(vocabulary_size: int) -> WooshTextEncoder:
    """Two layers of width 16."""
    return WooshTextEncoder(
        vocabulary_size=vocabulary_size,
        width=TEXT_WIDTH,
        layers=2,
        heads=2,
        inner_width=32,
        max_tokens=TOKENS,
        hidden_layer=-1,
    )


def randomise(module: nn.Module, seed: int, gain: float = 1.0) -> nn.Module:
    """Fill every parameter from N(0, gain^2 / inputs): also those that start at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            inputs = parameter[0].numel() if parameter.ndim > 1 else 10
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(gain * noise / inputs**0.5)
    return module.eval()


def make_pipeline(
    flow_map: bool = False,
    max_frames: int = 501,
    gain: float = 1.0,
    video_channels: int | None = None,
) -> WooshPipeline:
    """A text-to-audio pipeline; the same weights at every call.

    Args:
        flow_map: a few-step model.
        max_frames: half of the longest length in latent frames.
        gain: scale of the autoencoder's weights; large ones make audio that would clip.
        video_channels: of the features of a video that it takes.
    """
    tokenizer = make_tokenizer()
    pipeline = WooshPipeline(
        autoencoder=randomise(make_autoencoder(), 1, gain),
        transformer=randomise(
            make_transformer(flow_map, max_frames, video_channels=video_channels), 2
        ),
        text_encoder=randomise(make_text_encoder(len(tokenizer)), 3),
        tokenizer=tokenizer,
        default_steps=None if flow_map else 3,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def quieten(pipeline: WooshPipeline, decibels: float) -> WooshPipeline:
    """Make a toy's sounds fainter, in place: its magnitudes are about e to the power of what the head says."""
    head = pipeline.autoencoder.decoder.head
    with torch.no_grad():
        head.bias[: len(head.bias) // 3] -= decibels / 20 * math.log(10)
    return pipeline


def sound_of(sampler: Sampler, request: Request) -> np.ndarray:
    """The one sound of a request."""
    return sampler(request)[0].numpy()


def with_threshold_between(
    quieter: Sequence[int],
    louder: Sequence[int],
    make: Callable[[Sampler, Request], np.ndarray] = sound_of,
) -> WooshPipeline:
    """A toy so faint that 0.5 s of "rain" are silent from some seeds and not from others.

    Its sounds differ by tenths of a decibel, hence the search by halving.
    """
    low, high = 0.0, 60.0  # decibels by which it is made fainter
    for _ in range(40):
        middle = (low + high) / 2
        pipeline = quieten(make_pipeline(max_frames=100), middle)
        silent = [
            [
                is_silent(make(pipeline.sampler, Request("rain", seconds=0.5, seed=seed)), 48_000)
                for seed in seeds
            ]
            for seeds in (quieter, louder)
        ]
        if all(silent[0]) and not any(silent[1]):
            return pipeline
        low, high = (low, middle) if any(silent[1]) else (middle, high)
    raise ValueError(f"no level lies between the sounds of {quieter} and of {louder}")


def save_pipeline(folder: Path, flow_map: bool = False, max_frames: int = 501) -> Path:
    """Save a toy pipeline with a model card and return its folder."""
    make_pipeline(flow_map, max_frames).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# A toy\n")
    return folder


def make_visual() -> VisualEncoder:
    """It watches pictures of 32 pixels and gives 8 features of each."""
    return VisualEncoder(size=32, channels=8, width=8)


def make_synchformer(width: int) -> Synchformer:
    """It watches pictures of 32 pixels; the same weights at every call."""
    return randomise(Synchformer(width=width, depth=1, heads=2, image_size=32), 9)  # type: ignore[return-value]


def save_seeing_pipeline(folder: Path, flow_map: bool = False) -> Path:
    """Save a toy pipeline that takes videos, with the network that watches them, and return its folder."""
    make_pipeline(flow_map, max_frames=100, video_channels=8).save_pretrained(folder)
    randomise(make_visual(), 4).save_pretrained(folder / "visual")
    return folder


def make_clap() -> WooshClap:
    """An aligner with a narrow MobileNet and two text layers; the same weights at every call.

    Its normalisation and the bias of its head fit a few noises, so that it tells sounds apart.
    """
    tokenizer = make_tokenizer()
    text_encoder = randomise(make_text_encoder(len(tokenizer)), 5)
    head = ClapHead(96, TEXT_WIDTH, 24, "mean", "repeat", released_mean=False)
    audio_encoder = MobileNet(0.1)
    randomise(head, 6)
    randomise(audio_encoder, 7)
    levels = torch.linspace(-1.4, 2.0, 4)[:, None, None]
    noises = levels + torch.randn(4, 128, 100, generator=torch.Generator().manual_seed(8))
    norms = [module for module in audio_encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the mean over all that is heard
        audio_encoder.train()(noises[:, None])
        features = audio_encoder.eval()(noises[:, None]).features
        head.audio.bias.copy_(-head.audio.weight @ features.mean(dim=0))
    return WooshClap(audio_encoder, head, text_encoder, tokenizer, LogMel())  # type: ignore[arg-type]

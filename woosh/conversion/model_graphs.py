"""Generators as ONNX graphs, for programs without torch and for processors: words -> latents -> sound in a few calls.

Work per prompt and work per step are graphs of their own. `docs/onnx.md` tells how they are called.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from woosh import __version__
from woosh.autoencoder import Autoencoder, WooshAutoencoder, WooshMelAutoencoder
from woosh.autoencoder.mel import fit_frames, powers
from woosh.autoencoder.network import Spectrum
from woosh.catalogue import BUILT_IN, GRAPHS_FILE, GRAPHS_FORMAT, ModelInfo, part_folders
from woosh.command_line import missing_extra
from woosh.conversion.calibration import exact_layers_of
from woosh.conversion.convert import staged
from woosh.conversion.halved_heads import with_halved_heads
from woosh.conversion.onnx_export import quiet_exporter
from woosh.conversion.phase_graph import InverseTransform, PhaseSearch, looped
from woosh.conversion.quantisation import quantise
from woosh.generation.loading import load_sampler
from woosh.generation.roberta import PADDING_ID
from woosh.generation.sampling import Sampler
from woosh.generation.solvers import renoise_weights, shifted_times
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.generation.transformer import Condition, WooshTransformer

if TYPE_CHECKING:
    import onnx

CARDS = ("README.md", "ATTRIBUTION.md")  # of a model, which its graphs carry on
EXAMPLE_BATCH, EXAMPLE_FRAMES = 2, 36  # of the tensors that networks are traced with
MULTIPLYING = ("text_encoder", "step", "decoder")  # graphs whose time goes into matrix products
FEWEST_FRAMES = 2  # latent frames that a decoder takes


@dataclass(frozen=True)
class Traced:
    """A module with what it is traced on.

    Attributes:
        module: of tensors alone.
        example: its inputs, by name.
        free: the names of free dimensions of each input; the same name is the same size.
        outputs: their names.
    """

    module: nn.Module
    example: Mapping[str, Tensor]
    free: Mapping[str, Mapping[int, Any]]
    outputs: tuple[str, ...]

    def model(self) -> onnx.ModelProto:
        """The graph."""
        with quiet_exporter():
            program = torch.onnx.export(
                Called(self.module).eval().requires_grad_(False),
                tuple(self.example.values()),
                dynamo=True,
                verbose=False,
                input_names=list(self.example),
                output_names=list(self.outputs),
                dynamic_shapes=(tuple(self.free.get(name, {}) for name in self.example),),
            )
        assert program is not None
        return program.model_proto


class PromptGraph(nn.Module):
    """`WooshTransformer.prepare`: hidden states and mask, seconds and features where they are taken -> the condition."""

    def __init__(self, transformer: WooshTransformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, states: Tensor, mask: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        told, sees = self.transformer.config.summary, self.transformer.config.video_channels
        seconds = others[0] if told else None
        video = others[-1] if sees is not None else None
        made = self.transformer.prepare(states, mask, video, seconds)
        return tuple(x for x in (made.text, made.summary, made.video) if x is not None)


class StepGraph(nn.Module):
    """One call of the transformer on what `PromptGraph` gives, latents and times."""

    def __init__(self, transformer: WooshTransformer) -> None:
        super().__init__()
        self.transformer = with_halved_heads(transformer)

    def forward(self, latents: Tensor, time: Tensor, *others: Tensor) -> Tensor:
        config = self.transformer.config
        step, condition = (others[:2], others[2:]) if config.flow_map else ((), others)
        summary = condition[1] if config.summary else None
        video = condition[-1] if config.video_channels is not None else None
        made = Condition(condition[0], video, summary)
        return self.transformer(latents, time, made, *step)


class MelGraph(nn.Module):
    """A mel autoencoder's latents (1, C, T) and noise (T, P + C) -> magnitudes (F, T')."""

    def __init__(self, autoencoder: WooshMelAutoencoder, doubt: float) -> None:
        super().__init__()
        self.autoencoder, self.doubt = autoencoder, doubt
        self.filters: Tensor
        self.register_buffer("filters", autoencoder.filters)

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        start, own = noise.split(self.autoencoder.noise_channels, dim=1)
        given = latents.transpose(1, 2) + self.doubt * own
        power = powers(self.autoencoder.levels_of(self.autoencoder.walk(start, given, self.doubt)))
        power = power[..., : 1 + self.autoencoder.frames_per_token * (latents.shape[2] - 1)]
        return fit_frames(power, self.filters)[0]


class MagnitudeGraph(nn.Module):
    """The latents (1, C, T) of an autoencoder's magnitude channels -> magnitudes (F, T), without what gives phases."""

    def __init__(self, autoencoder: WooshAutoencoder) -> None:
        super().__init__()
        self.expanded = autoencoder.expanded
        given, decoder = autoencoder.generated_channels, autoencoder.decoder
        self.mean, self.deviation = (
            nn.Buffer(values[:given, None].clone())
            for values in (autoencoder.latent_mean, autoencoder.latent_std)
        )
        self.backbone = copy.deepcopy(decoder.backbone)
        self.backbone.embed.weight = nn.Parameter(decoder.backbone.embed.weight[:, :given].clone())
        bins = decoder.head.out_channels // len(Spectrum._fields)
        self.head = nn.Linear(decoder.head.in_channels, bins)
        self.head.weight = nn.Parameter(decoder.head.weight[:bins, :, 0].clone())
        self.head.bias = nn.Parameter(decoder.head.get_parameter("bias")[:bins].clone())

    def forward(self, latents: Tensor) -> Tensor:
        hidden = self.backbone(latents * self.deviation + self.mean)  # (1, D, T)
        m = self.head(hidden.mT).mT
        # A softplus in operations of which ONNX Runtime computes eight numbers at a time.
        return self.expanded(m.relu() + (1 + (-m.abs()).exp()).log())[0]


class AudioGraph(nn.Module):
    """All of an autoencoder's latents (1, C, T) -> audio (hop (T - 1),)."""

    def __init__(self, autoencoder: WooshAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.inverse = InverseTransform(autoencoder.n_fft, autoencoder.hop_length)

    def forward(self, latents: Tensor) -> Tensor:
        magnitude, real, imaginary = (part[0] for part in self.autoencoder.spectrum(latents))
        return self.inverse(magnitude * real, magnitude * imaginary)


class Called(nn.Module):
    """A module, or one of its methods, that is traced by itself with any number of inputs."""

    def __init__(self, module: nn.Module, name: str = "__call__") -> None:
        super().__init__()
        self.module, self.name = module, name

    def forward(self, *tensors: Tensor) -> Any:
        return getattr(self.module, self.name)(*tensors)


def dimension(name: str, least: int, most: int | None = None) -> Any:
    """A free size of a graph."""
    return torch.export.Dim(name, min=least, max=most)


def traced_text_encoder(text_encoder: WooshTextEncoder, tokens: int) -> Traced:
    """Token ids and mask, each (batch, L) -> hidden states (batch, L, W)."""
    batch = {0: dimension("batch", 1)}
    # Each a tensor of its own: one that is given twice is taken for one input.
    example = {
        name: torch.ones(EXAMPLE_BATCH, tokens, dtype=torch.int64)
        for name in ("input_ids", "attention_mask")
    }
    return Traced(text_encoder, example, dict.fromkeys(example, batch), ("states",))


def traced_prompt(transformer: WooshTransformer) -> Traced:
    """What is computed once for a prompt."""
    config, batch = transformer.config, {0: dimension("batch", 1)}
    tokens, count = config.text_tokens, EXAMPLE_BATCH
    example = {
        "states": torch.zeros(count, tokens, config.text_width),
        "attention_mask": torch.ones(count, tokens, dtype=torch.int64),
    }
    free: dict[str, dict[int, Any]] = dict.fromkeys(example, batch)
    if config.summary:
        example["sound_seconds"] = torch.zeros(count)
        free["sound_seconds"] = batch
    if config.video_channels is not None:
        example["video_features"] = torch.zeros(count, 12, config.video_channels)
        free["video_features"] = {**batch, 1: dimension("moments", 1, 2 * config.max_frames)}
    return Traced(PromptGraph(transformer), example, free, condition_names(transformer))


def condition_names(transformer: WooshTransformer) -> tuple[str, ...]:
    """Names of what goes from the prompt's graph into every step's."""
    given = {
        "text": True,
        "summary": transformer.config.summary,
        "video": transformer.config.video_channels is not None,
    }
    return tuple(name for name, there in given.items() if there)


def traced_step(transformer: WooshTransformer) -> Traced:
    """What is computed at every step; the latents are whole tokens, `patch_size` frames each."""
    config, count = transformer.config, EXAMPLE_BATCH
    batch = {0: dimension("batch", 1)}
    patch = config.patch_size
    most = 2 * config.max_frames // patch
    tokens = dimension("frames" if patch == 1 else "tokens", 1, most)
    example = {
        "latents": torch.zeros(count, config.latent_channels, patch * min(EXAMPLE_FRAMES, most)),
        "time": torch.ones(count),
    }
    if config.flow_map:
        example |= {"next_time": torch.zeros(count), "guidance": torch.ones(count)}
    free: dict[str, dict[int, Any]] = dict.fromkeys(example, batch)
    free["latents"] = {**batch, 2: patch * tokens}
    for name in condition_names(transformer):
        shape = {"text": [config.text_tokens], "summary": [], "video": [12]}[name]
        example[name] = torch.zeros(count, *shape, config.width)
        free[name] = batch
    if config.video_channels is not None:
        free["video"] = {**batch, 1: dimension("moments", 1, 2 * config.max_frames)}
    return Traced(StepGraph(transformer), example, free, ("velocity",))


def traced_decoder(autoencoder: Autoencoder, doubt: float) -> Traced:
    """Latents of one sound -> magnitudes, or audio."""
    frames = {2: dimension("frames", FEWEST_FRAMES)}
    example = {"latents": torch.randn(1, autoencoder.generated_channels, EXAMPLE_FRAMES)}
    if isinstance(autoencoder, WooshMelAutoencoder):
        example["noise"] = torch.randn(EXAMPLE_FRAMES, sum(autoencoder.noise_channels))
        free = {"latents": frames, "noise": {0: frames[2]}}
        return Traced(MelGraph(autoencoder, doubt), example, free, ("magnitude",))
    free = {"latents": frames}
    if autoencoder.components is None:
        return Traced(AudioGraph(autoencoder), example, free, ("audio",))
    return Traced(MagnitudeGraph(autoencoder), example, free, ("magnitude",))


@cache
def phase_model(n_fft: int, hop_length: int) -> onnx.ModelProto:
    """The graph that finds audio for magnitudes, from noise."""
    search = PhaseSearch(n_fft, hop_length)
    frames = dimension("frames", FEWEST_FRAMES)
    magnitude = torch.rand(n_fft // 2 + 1, EXAMPLE_FRAMES)
    noise = torch.randn(hop_length * EXAMPLE_FRAMES)
    start = Traced(
        Called(search, "start"),
        {"magnitude": magnitude, "noise": noise},
        {"magnitude": {1: frames}, "noise": {0: hop_length * frames}},
        ("fine", "envelope", "spectrum"),
    )
    fine, envelope, spectrum = search.start(magnitude, noise)
    spectra = {0: 2 * frames + 1}
    step = Traced(
        Called(search, "step"),
        {"fine": fine, "envelope": envelope, "spectrum": spectrum, "previous": spectrum.clone()},
        {"fine": spectra, "envelope": {0: hop_length * frames}}
        | dict.fromkeys(("spectrum", "previous"), spectra),
        ("next", "sound"),
    )
    return looped(start.model(), step.model(), hop_length)


def graph_models(sampler: Sampler) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The graphs of a generator by name, one after the other: each may be as large as memory allows.

    Raises:
        ValueError: an autoencoder of two channels.
    """
    autoencoder, transformer = sampler.autoencoder, sampler.transformer
    if autoencoder.audio_channels != 1:
        raise ValueError(
            f"this model makes {autoencoder.audio_channels} channels: graphs are made of models of one channel"
        )
    yield (
        "text_encoder",
        traced_text_encoder(sampler.text_encoder, transformer.config.text_tokens).model(),
    )
    yield "prompt", traced_prompt(transformer).model()
    yield "step", traced_step(transformer).model()
    decoder = traced_decoder(autoencoder, sampler.settings.latent_doubt)
    yield "decoder", decoder.model()
    if decoder.outputs == ("magnitude",):
        yield "phases", phase_model(autoencoder.n_fft, magnitude_hop(autoencoder))


def magnitude_hop(autoencoder: Autoencoder) -> int:
    """Samples for each frame of a decoder's magnitudes."""
    mel = isinstance(autoencoder, WooshMelAutoencoder)
    return autoencoder.frame_length if mel else autoencoder.hop_length


def described_graph(model: onnx.ModelProto, file: str) -> dict[str, Any]:
    """What a graph takes and gives: for each tensor its kind of numbers and its sizes, named ones where they are free."""
    from onnx import helper

    def tensors(values: Sequence[Any]) -> dict[str, Any]:
        return {
            value.name: [
                helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
                [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim],
            ]
            for value in values
        }

    return {
        "file": file,
        "inputs": tensors(model.graph.input),
        "outputs": tensors(model.graph.output),
    }


def described(info: ModelInfo, sampler: Sampler) -> dict[str, Any]:
    """What a program must know of a generator beside its graphs."""
    config, autoencoder = sampler.transformer.config, sampler.autoencoder
    settings = dataclasses.asdict(sampler.settings)
    steps = sampler.steps
    renoise = [sampler.settings.renoise_scale * weight for weight in renoise_weights(steps)]
    return {
        "format": GRAPHS_FORMAT,
        "name": info.name,
        "version": __version__,
        "licence": info.licence,
        "parameters": info.parameters,
        "sample_rate": sampler.sample_rate,
        "n_fft": autoencoder.n_fft,
        "hop_length": autoencoder.config.hop_length,
        "latent_channels": config.latent_channels,
        "latent_rate": config.latent_rate,
        "max_frames": config.max_frames,
        "longest_seconds": sampler.longest,
        "frames_per_token": config.patch_size,
        "text_tokens": config.text_tokens,
        "vocabulary_size": sampler.text_encoder.config.vocabulary_size,
        "padding_id": PADDING_ID,
        "flow_map": config.flow_map,
        "summary": config.summary,
        "video_channels": config.video_channels,
        "settings": settings
        | {"default_steps": steps, "default_guidance_scale": sampler.guidance_scale},
        "times": shifted_times(steps, sampler.settings.time_shift).tolist(),
        "renoise": renoise if sampler.few_step else None,
    }


def export_model(info: ModelInfo, target: Path, *, int8: bool = False) -> None:
    """Write a generator as a folder of ONNX graphs with their description, see `docs/onnx.md`.

    Args:
        info: of the model's folder.
        target: folder to write.
        int8: with matrices of large products in eight bits, multiplied by activations in eight bits, but for those of
            `woosh.conversion.calibration.exact_layers_of`.

    Raises:
        FileExistsError: the target is there and not empty.
        ImportError: the extra `onnx` is not installed.
        ValueError: a model of graphs, or one of two channels.
    """
    if find_spec("onnxscript") is None:
        raise missing_extra("ONNX files need onnxscript", "onnx")
    with staged(target) as folder:
        sampler = load_sampler(info.folder)
        graphs, exact = {}, exact_layers_of(sampler) if int8 else ()
        for name, model in graph_models(sampler):
            path = folder / f"{name}.onnx"
            chosen = quantise(model, exact) if int8 and name in MULTIPLYING else model
            path.write_bytes(chosen.SerializeToString())
            graphs[name] = described_graph(model, path.name)
            if name == "phases":
                graphs[name]["hop_length"] = magnitude_hop(sampler.autoencoder)
        shutil.copytree(part_folders(info.folder)["tokenizer"], folder / "tokenizer")
        # A model that shares parts of another one may tell only there whose recordings these come from.
        places = [info.folder, *([] if info.parts_of is None else [BUILT_IN / info.parts_of])]
        for card in CARDS:
            there = [place / card for place in places if (place / card).is_file()]
            if there:
                shutil.copy(there[0], folder / card)
        facts = described(info, sampler)
        if int8:
            # A seed gives other sounds with them: files must not name the model alone.
            facts["name"] += "-int8"
        text = json.dumps(facts | {"graphs": graphs}, indent=1)
        (folder / GRAPHS_FILE).write_text(text + "\n", encoding="utf-8")

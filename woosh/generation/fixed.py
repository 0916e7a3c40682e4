"""A whole generation as one function of tensors of fixed shapes, so that it can be compiled or replayed as a CUDA graph.

Text encoder, all steps and decoder follow each other without a question to the device. What is computed on the
processor, token ids and noise, is gathered first. On an accelerator a replayed graph leaves out what the processor spends
on starting thousands of kernels, which at batch 1 is most of the time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from woosh.autoencoder import WooshAutoencoder
from woosh.generation.guidance import (
    WHOLE,
    Group,
    Window,
    conditions_of,
    guided_velocity,
    taught_velocity,
)
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler, limited, noise_streams
from woosh.generation.solvers import draw_noise, euler, flow_map, multistep
from woosh.generation.text_encoder import tokenize
from woosh.generation.transformer import WooshTransformer

WARM_UP = 3  # calls before a capture, in which libraries choose their kernels and ask for memory


@dataclass(frozen=True)
class Inputs:
    """What differs between the requests of one shape.

    Attributes:
        ids: of the tokens (R, L): of every clip's prompt, and then, with guidance, of every clip's negative prompt.
        mask: of the real tokens (R, L).
        noise: (D, B, C, T), at the start and, in a few-step model, one more for each step.
    """

    ids: Tensor
    mask: Tensor
    noise: Tensor


class FixedGeneration:
    """Makes the sounds of requests that differ in words and seeds alone.

    They are those of `Sampler` up to rounding: all texts are embedded together, and so are all clips evaluated. Measured
    in float32, the audio differs by less than 1e-4 of its peak.

    Args:
        sampler: of the model. Its autoencoder decodes all latent channels at once (`WooshAutoencoder`, as in the released
            models): a search for phases is no fixed function.
        like: a request of that shape: number and length of the sounds, steps, guidance, solver.
        compiler: backend of `torch.compile` for transformer, text encoder and decoder, usually "inductor", or None. The
            first call compiles, which takes minutes.

    Raises:
        ValueError: a request with a video, with dopri5 or in several windows, or a model whose decoder searches phases.
    """

    def __init__(self, sampler: Sampler, like: Request, compiler: str | None = None) -> None:
        like.check(sampler)
        if like.solver == "dopri5" or like.video is not None:
            raise ValueError(
                "a generation of fixed shape has fixed steps and no video: leave out dopri5 and the video"
            )
        if like.seconds > sampler.longest:
            raise ValueError(
                f"{like.seconds:g} s are made in several windows: ask for at most {sampler.longest:g} s"
            )
        autoencoder = sampler.autoencoder
        if (
            not isinstance(autoencoder, WooshAutoencoder)
            or autoencoder.generated_channels != autoencoder.config.latent_channels  # type: ignore[attr-defined]
        ):
            raise ValueError(
                "the decoder of this model searches for phases: its shape is not fixed"
            )
        self.sampler, self.like = sampler, like
        self.times = sampler.times_of(like)
        self.renoise = sampler.renoise_of(like) if sampler.few_step else ()
        self.guidance = sampler.guidance_of(like)
        self.branches = [WHOLE] if sampler.few_step else self.guidance.branches
        frames = self.inputs(like).noise.shape[-1]
        self.window = Window(0, frames)
        self.transformer = resident(sampler.transformer, frames, sampler.device)
        self.text_encoder = copy.copy(sampler.text_encoder)
        self.decoder = copy.copy(autoencoder.decoder)
        self.autoencoder = copy.copy(autoencoder)
        self.autoencoder._modules = autoencoder._modules | {"decoder": self.decoder}
        if compiler is not None:
            for network in (self.transformer, self.text_encoder, self.decoder):
                network.compile(dynamic=False, backend=compiler)

    def inputs(self, request: Request) -> Inputs:
        """What a request gives, on the model's device.

        Raises:
            ValueError: a request of another shape.
        """
        if shape_of(request) != shape_of(self.like):
            raise ValueError(
                "this generation makes requests of one shape: only prompts and seeds may differ"
            )
        sampler, generators = self.sampler, noise_streams(request)
        texts = [
            text
            for branch in self.branches
            for text in (request.prompts if branch.prompt else request.negative_prompts)
        ]
        ids, mask = tokenize(sampler.tokenizer, texts, sampler.transformer.config.text_tokens)
        first = sampler.noise_of(request, generators, circular=False)
        more = [draw_noise(first, generators) for weight in self.renoise if weight > 0]
        device = sampler.device
        return Inputs(ids.to(device), mask.to(device), torch.stack([first, *more]))

    @torch.no_grad()
    def audio(self, inputs: Inputs) -> Tensor:
        """Decoded audio (B, A, S), peaks as they are; the same tensors always give the same computation."""
        states = self.text_encoder(inputs.ids, inputs.mask)
        told, seconds = None, self.like.sound_seconds
        if seconds is not None:
            told = torch.full((len(states),), seconds, device=states.device)
        conditions = conditions_of(
            self.transformer, (states, inputs.mask), None, [self.window], told
        )
        groups = [Group(slice(None), conditions)]
        noise, *more = inputs.noise.unbind()
        if self.sampler.few_step:
            scale = self.guidance.scale + self.sampler.settings.guidance_offset
            mean_velocity = taught_velocity(self.transformer, groups, scale)
            drawn: Iterator[Tensor] = iter(more)
            draw = partial(next, drawn)
            latents = flow_map(mean_velocity, noise, self.times, self.renoise, draw)
        else:
            velocity = guided_velocity(self.transformer, groups, self.guidance)
            solve = euler if self.like.solver == "euler" else multistep
            latents = solve(velocity, noise, self.times)
        audio = self.autoencoder.decode(latents)
        return audio[..., : self.like.samples(self.sampler.sample_rate)]

    def __call__(self, request: Request) -> Tensor:
        """Audio (B, A, S) in float32, within [-1, 1].

        Raises:
            ValueError: a request of another shape, or audio that is not finite.
        """
        return limited(self.audio(self.inputs(request)), self.sampler.transformer.dtype)


class CapturedGeneration:
    """A `FixedGeneration` as one CUDA graph: the same kernels with the same tensors, so the same audio bit for bit.

    The graph keeps its memory; to give it back, let go of this object.

    Args:
        generation: on a CUDA device.

    Raises:
        ValueError: a generation on another device.
    """

    def __init__(self, generation: FixedGeneration) -> None:
        device = generation.sampler.device
        if device.type != "cuda":
            raise ValueError(f"graphs are captured on CUDA devices, and this model is on {device}")
        self.generation = generation
        self.held = generation.inputs(replace(generation.like, generator=None, seed=0))
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                generation.audio(self.held)
        torch.cuda.current_stream(device).wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.made = generation.audio(self.held)

    def __call__(self, request: Request) -> Tensor:
        """Audio (B, A, S) in float32, within [-1, 1].

        Raises:
            ValueError: a request of another shape, or audio that is not finite.
        """
        inputs = self.generation.inputs(request)
        for name in ("ids", "mask", "noise"):
            getattr(self.held, name).copy_(getattr(inputs, name))
        self.graph.replay()
        return limited(self.made.clone(), self.generation.sampler.transformer.dtype)


def resident(transformer: WooshTransformer, frames: int, device: torch.device) -> WooshTransformer:
    """A transformer of the same weights whose tables for so many latent frames lie on the device already."""
    held = copy.copy(transformer)
    patches = -(-frames // transformer.patch_size)
    config = transformer.config
    streams = [1 + patches, config.text_tokens, *([1] if config.video_channels else [])]
    tokens = tuple(torch.empty(1, count, 1, device=device) for count in streams)
    tables = transformer.rotary_tables(tokens)
    held.rotary_tables = lambda _tokens: tables  # type: ignore[method-assign]
    if transformer.latent_deviations is not None:
        deviation = torch.tensor(transformer.latent_deviations, device=device)[:, None]
        held._deviation = lambda _latents: deviation  # type: ignore[method-assign]
    return held


def shape_of(request: Request) -> tuple[object, ...]:
    """All of a request but words, seeds and generators."""
    times = None if request.times is None else tuple(request.times)
    renoise = None if request.renoise is None else tuple(request.renoise)
    return (
        *(request.count, request.seconds, request.sound_seconds, request.steps),
        *(request.guidance_scale, request.solver, times, renoise, request.video),
    )

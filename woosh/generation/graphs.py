"""Generators as ONNX graphs, run through ONNX Runtime in the place of the networks: what `woosh export` wrote.

Everything around the networks stays: noise and its seeds, solver, guidance, windows of long sounds, the search for phases.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from woosh.autoencoder.mel import drawing_noise
from woosh.autoencoder.phases import retrieve_phases
from woosh.catalogue import GRAPHS_FILE, GraphFacts
from woosh.command_line import missing_extra
from woosh.generation.sampling import Sampler, SamplingSettings
from woosh.generation.text_encoder import read_tokenizer
from woosh.generation.transformer import Condition
from woosh.outside_files import read_object, shaped

CONDITION = ("text", "summary", "video")  # what goes from the prompt's graph into every step's


class Graph:
    """An ONNX file that is called with tensors by name.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: it is not there.
        ImportError: ONNX Runtime is not installed.
        ValueError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing_extra("models of graphs need onnxruntime", "onnx") from error
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own errors have no class in common
            raise ValueError(f"{path} is damaged: {error}") from error
        self.inputs = {tensor.name: tensor.shape for tensor in self.session.get_inputs()}
        self.outputs = [tensor.name for tensor in self.session.get_outputs()]

    def __call__(self, **tensors: Tensor) -> dict[str, Tensor]:
        """The outputs by name; of the tensors those are taken that the graph asks for."""
        given = {name: tensors[name].contiguous().numpy() for name in self.inputs}
        found = self.session.run(self.outputs, given)
        return dict(zip(self.outputs, map(torch.from_numpy, found), strict=True))


class GraphTransformer:
    """Takes the place of `woosh.generation.transformer.WooshTransformer`."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, folder: Path, facts: GraphFacts) -> None:
        self.config, self.latent_rate = facts, facts.latent_rate
        self.prompt, self.step = Graph(folder / "prompt.onnx"), Graph(folder / "step.onnx")

    def prepare(
        self,
        text: Tensor,
        text_mask: Tensor,
        video: Tensor | None = None,
        sound_seconds: Tensor | None = None,
    ) -> Condition:
        """As `WooshTransformer.prepare`."""
        count = len(text)
        silent = torch.zeros(count, 1, self.config.video_channels or 1)
        made = self.prompt(
            states=text,
            attention_mask=text_mask.long(),
            sound_seconds=torch.zeros(count) if sound_seconds is None else sound_seconds,
            video_features=silent if video is None else video,
        )
        return Condition(made["text"], made.get("video"), made.get("summary"))

    def __call__(
        self,
        latents: Tensor,
        time: Tensor,
        condition: Condition,
        next_time: Tensor | None = None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        """As `WooshTransformer.forward`."""
        frames = latents.shape[2]
        whole = torch.nn.functional.pad(latents, (0, -frames % self.config.frames_per_token))
        parts = {name: getattr(condition, name) for name in CONDITION}
        step = {"time": time, "next_time": next_time, "guidance": guidance}
        return self.step(latents=whole, **step, **parts)["velocity"][..., :frames]


class GraphTextEncoder:
    """Takes the place of `woosh.generation.text_encoder.WooshTextEncoder`."""

    def __init__(self, folder: Path, facts: GraphFacts) -> None:
        self.config = facts
        self.graph = Graph(folder / "text_encoder.onnx")

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """As `WooshTextEncoder.forward`."""
        return self.graph(input_ids=input_ids, attention_mask=attention_mask)["states"]


class GraphDecoder:
    """Takes the place of an autoencoder, of which it has the decoder alone."""

    device, audio_channels = torch.device("cpu"), 1

    def __init__(self, folder: Path, facts: GraphFacts) -> None:
        self.config, self.generated_channels = facts, facts.latent_channels
        self.graph = Graph(folder / "decoder.onnx")

    def decode(self, latents: Tensor, circular: bool = False) -> Tensor:
        """As `WooshAutoencoder.decode`, of one sound (1, C, T).

        Raises:
            ValueError: of a circle.
        """
        if circular:
            raise ValueError(
                "models of graphs make no loops of their own: name the model that they were made of"
            )
        noise = self.graph.inputs.get("noise")
        drawn = {} if noise is None else {"noise": drawing_noise(latents.shape[2], noise[1])}
        [(name, made)] = self.graph(latents=latents, **drawn).items()
        if name == "audio":
            return made[None, None]
        # The same search as a graph takes twice as long.
        hop = self.config.hop_length * (latents.shape[2] - 1) // (made.shape[1] - 1)
        return retrieve_phases(made[None], hop)[:, None]

    def encode_generated(self, audio: Tensor) -> Tensor:
        """No sound becomes latents.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"models of graphs start from no sound, such as this one of {audio.shape[-1]} samples: name the model that "
            "they were made of"
        )


def load_graphs(folder: Path) -> Sampler:
    """The sampler of a folder of graphs, on the processor.

    Raises:
        FileNotFoundError: a graph is missing.
        ImportError: ONNX Runtime is not installed.
        ValueError: a file is damaged.
    """
    place = folder / GRAPHS_FILE
    index = read_object(place)
    facts = shaped(GraphFacts, index, str(place))
    settings = shaped(SamplingSettings, index.get("settings", {}), f"{place}: settings")
    parts: dict[str, Any] = {
        "autoencoder": GraphDecoder(folder, facts),
        "transformer": GraphTransformer(folder, facts),
        "text_encoder": GraphTextEncoder(folder, facts),
    }
    return Sampler(
        **parts,
        tokenizer=cast(Any, read_tokenizer(PreTrainedTokenizerFast, folder / "tokenizer")),
        # The doubt is part of the decoder's graph.
        settings=dataclasses.replace(settings, latent_doubt=0.0),
    )

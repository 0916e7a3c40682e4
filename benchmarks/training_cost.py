"""What training in full size costs: operations, hours and memory, computed from the recipes' files.

    python benchmarks/training_cost.py [--peak 989] [--utilisation 0.4]

Operations are counted in one forward pass of each network, of which only the shapes are computed; a backward pass counts
twice a forward pass. Memory is that of the weights, gradients, AdamW's two moments and the average in float32, without
activations.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from woosh.autoencoder import WooshAutoencoder
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.generation.transformer import WooshTransformer
from woosh.taggers.passt import Passt
from woosh.training.autoencoder.discriminators import Discriminators

CONFIGS = Path(__file__).parents[1] / "configs"
BYTES = 4 + 4 + 8 + 4  # per trained parameter: weight, gradient, moments, average
PROCESSES = 4  # for which the files are written
SEGMENT = 500  # log-mel frames of 5 s
TOKENS = 77


class Cost(NamedTuple):
    """Of one recipe."""

    name: str
    parameters: int  # that are trained
    operations: float  # of one sample's forward and backward passes
    samples: int  # of one step, over all processes
    steps: int


def operations_of(forward: Callable[[], object]) -> int:
    """Floating-point operations of a call."""
    shapes_alone = FakeTensorMode(allow_non_fake_inputs=True)
    with shapes_alone, FlopCounterMode(display=False) as counter, torch.no_grad():
        forward()
    return counter.get_total_flops()


def count(*modules: nn.Module) -> int:
    """Parameters of modules."""
    return sum(value.numel() for module in modules for value in module.parameters())


def build(model: type, values: dict[str, Any], **more: Any) -> Any:
    """A model of the arguments that its file has, without initial weights."""
    names = inspect.signature(model.__init__).parameters
    given = {name: value for name, value in values.items() if name in names and name not in more}
    with torch.device("meta"):
        built = model(**given, **more)
    return built.to_empty(device="cpu")


def autoencoder_cost(values: dict[str, Any]) -> Cost:
    """With discriminators: they judge both sounds in their own step, and both again for the autoencoder's."""
    model = build(WooshAutoencoder, values)
    judges = build(Discriminators, {}, width=values["discriminator_width"])
    audio = torch.randn(1, values["audio_channels"], round(values["crop_seconds"] * 48_000))
    frames = 1 + audio.shape[-1] // values["hop_length"]
    bins = values["audio_channels"] * (values["n_fft"] // 2 + 1)
    spectrum = torch.randn(1, 2 * bins, frames)
    latents = torch.randn(1, values["latent_channels"], frames)
    own = operations_of(lambda: model.decoder(latents))
    own += operations_of(lambda: model.encoder(spectrum))
    judging = operations_of(lambda: judges(audio))
    # Theirs: two sounds forward and backward. The autoencoder's: one forward, the other also backward to the sound.
    total = 3 * own + 2 * 3 * judging + judging + 2 * judging
    samples = values["batch_size"] * PROCESSES
    return Cost("autoencoder", count(model, judges), total, samples, values["steps"])


def flow_cost(values: dict[str, Any]) -> Cost:
    """From cached latents and hidden states."""
    model = build(WooshTransformer, values)
    frames = max(values["lengths"])
    text, mask = torch.randn(1, TOKENS, 1024), torch.randn(1, TOKENS)
    latents, time = torch.randn(1, 128, frames), torch.randn(1)
    own = operations_of(lambda: model(latents, time, model.prepare(text, mask)))
    samples = values["frames_per_batch"] // frames * PROCESSES
    return Cost("flow", count(model), 3 * own, samples, values["steps"])


def clap_cost(values: dict[str, Any]) -> Cost:
    """Both towers, without patchout."""
    audio_encoder = build(Passt, {}, stride=16, frames=1000).eval()  # from the first frame on
    text_encoder = build(WooshTextEncoder, {})
    log_mel = torch.randn(round(values["crop_seconds"] / 5), 128, SEGMENT)
    ids = torch.zeros(1, TOKENS, dtype=torch.long)
    mask = torch.ones(1, TOKENS)
    own = operations_of(lambda: audio_encoder(log_mel))
    own += operations_of(lambda: text_encoder(ids, mask))
    parameters = count(audio_encoder, text_encoder)
    samples = values["batch_size"] * PROCESSES
    return Cost("aligner", parameters, 3 * own, samples, values["steps"])


def table(costs: Sequence[Cost], peak: float, utilisation: float) -> str:
    """The costs as a Markdown table; `peak` in FLOP/s of one accelerator."""
    lines = [
        "| recipe | trained parameters | TFLOP a sample | samples a step | steps | accelerator hours | GB of state |",
        "|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        total = cost.operations * cost.samples * cost.steps
        hours = total / (peak * utilisation) / 3600
        lines.append(
            f"| {cost.name} | {cost.parameters / 1e6:.0f} M | {cost.operations / 1e12:.2f} | "
            f"{cost.samples} | {cost.steps:,} | {hours:,.0f} | {cost.parameters * BYTES / 1e9:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peak", type=float, default=989, help="TFLOP/s of the accelerator")
    parser.add_argument("--utilisation", type=float, default=0.4, help="share of it that is used")
    options = parser.parse_args(arguments)
    recipes = {"autoencoder": autoencoder_cost, "clap": clap_cost, "flow": flow_cost}
    costs = [
        cost(yaml.safe_load((CONFIGS / f"{name}_public.yaml").read_text()))
        for name, cost in recipes.items()
    ]
    print(table(costs, options.peak * 1e12, options.utilisation))


if __name__ == "__main__":
    main()

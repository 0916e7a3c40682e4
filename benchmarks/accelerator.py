"""What one accelerator does with the released sizes: time of a sound, throughput, memory, training. All in 8 minutes.

    python benchmarks/accelerator.py [--device cuda] [--json FILE.json] [--parts NAME ...] [--toy]

The networks have the released sizes and random weights, which cost the same. Every part runs in a process of its own with
a limit of its own; one that fails or takes too long is reported, and the others go on. Goals are those for an H200: 5 s
in four steps from the prompt to the audio in 20 ms, or 10 ms by a graph; half of the device's peak in throughput and in
training. `--toy` shrinks everything and runs it in one process, on any device.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from woosh.autoencoder import WooshAutoencoder
from woosh.catalogue import BUILT_IN
from woosh.generation.fixed import CapturedGeneration, FixedGeneration
from woosh.generation.float8 import computes_float8, with_float8
from woosh.generation.loading import load_part
from woosh.generation.offloading import offloaded
from woosh.generation.request import Request
from woosh.generation.sampling import Sampler
from woosh.generation.text_encoder import WooshTextEncoder
from woosh.generation.transformer import WooshTransformer

ROOT = Path(__file__).parents[1]
MINUTES = 8.0
TOLERANCE = 1e-2  # of the audio's peak: what compiled code may differ by in bfloat16
TOY_TRANSFORMER: dict[str, Any] = {
    **{"latent_channels": 8, "text_width": 16, "text_tokens": 12, "width": 32, "inner_width": 64},
    **{"joint_blocks": 1, "fused_blocks": 1, "heads": 2, "rotary_channels": 16},
}
TOY_TEXT = {"width": 16, "layers": 1, "heads": 2, "inner_width": 32, "max_tokens": 12}
TOY_AUTOENCODER: dict[str, Any] = {
    **{"latent_channels": 8, "width": 16, "inner_width": 24},
    **{"encoder_layers": 1, "decoder_layers": 1},
}


@dataclass(frozen=True)
class Row:
    """One figure, and its goal on an H200 where it has one."""

    part: str
    what: str
    value: float | str
    unit: str = ""
    goal: str = ""


@dataclass(frozen=True)
class Setting:
    """Where and at which size it is measured."""

    device: torch.device
    toy: bool

    @property
    def seconds(self) -> float:
        """Of a sound."""
        return 0.3 if self.toy else 5.0

    @property
    def runs(self) -> int:
        """Calls of which the quickest counts."""
        return 2 if self.toy else 20

    def request(self, clips: int = 1) -> Request:
        """As many sounds in four steps."""
        return Request(["a dog barking"] * clips, seconds=self.seconds, seed=0, steps=4)

    def seconds_of(self, call: Callable[[], object]) -> float:
        """Wall seconds of a call, the least of some, after two more."""
        times = []
        for _ in range(self.runs + 2):
            start = time.perf_counter()
            call()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return min(times[2:])

    def peak(self) -> float:
        """FLOP/s in bfloat16: as the maker says, or of one large product where that is not known."""
        known = known_peak(self.device)
        return self.product() if known is None else known

    def product(self) -> float:
        """FLOP/s of one large product in bfloat16."""
        size = 128 if self.toy else 8192
        one = torch.randn(size, size, device=self.device, dtype=torch.bfloat16)
        return 2 * size**3 / self.seconds_of(lambda: one @ one)


def known_peak(device: torch.device) -> float | None:
    """FLOP/s in bfloat16 that the maker of a device states, if it is a known one."""
    from woosh.training.log import PEAKS

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for key, peak in PEAKS.items() if key in name), None)


def filled(network: nn.Module, setting: Setting, dtype: torch.dtype) -> Any:
    """A network on the device with random weights that keep the size of what goes through."""
    generator = torch.Generator(setting.device).manual_seed(0)
    network = network.to(setting.device, dtype).eval().requires_grad_(False)
    for parameter in network.parameters():
        inputs = parameter[0].numel() if parameter.ndim > 1 else 10
        parameter.normal_(0, inputs**-0.5, generator=generator)
    return network


def few_step_sampler(setting: Setting, dtype: torch.dtype = torch.bfloat16) -> Sampler:
    """The released few-step model, or a toy of it."""
    toy = setting.toy
    tokenizer = load_part("tokenizer", BUILT_IN / "woosh-tiny" / "tokenizer")
    with torch.device(setting.device):
        transformer = WooshTransformer(
            flow_map=True, released_positions=True, **(TOY_TRANSFORMER if toy else {})
        )
        encoder = WooshTextEncoder(
            vocabulary_size=50265, **(TOY_TEXT | {"hidden_layer": -1} if toy else {})
        )
        autoencoder = WooshAutoencoder(**(TOY_AUTOENCODER if toy else {}))
    sounds = filled(autoencoder, setting, torch.float32)
    return Sampler(
        sounds, filled(transformer, setting, dtype), filled(encoder, setting, dtype), tokenizer
    )


def plain(setting: Setting) -> list[Row]:
    """One sound through the sampler, as the command makes it."""
    rows = []
    for dtype in (torch.bfloat16, torch.float32):
        sampler = few_step_sampler(setting, dtype)
        seconds = setting.seconds_of(partial(sampler, setting.request()))
        name = str(dtype).removeprefix("torch.")
        goal = "20" if dtype == torch.bfloat16 else ""
        rows.append(Row("plain", f"one sound, {name}", 1000 * seconds, "ms", goal))
    return rows


def difference(
    made: Callable[[Request], torch.Tensor], wanted: torch.Tensor, like: Request
) -> float:
    """Largest difference of audio, as a share of its peak."""
    return float((made(like) - wanted).abs().max() / wanted.abs().max())


def graph(setting: Setting) -> list[Row]:
    """One sound as one graph; on a processor as the function that a graph is made of."""
    request = setting.request()
    generation = FixedGeneration(few_step_sampler(setting), request)
    wanted = generation(request)
    made = CapturedGeneration(generation) if setting.device.type == "cuda" else generation
    seconds = setting.seconds_of(partial(made, request))
    return [
        Row("graph", "one sound by a graph", 1000 * seconds, "ms", "10"),
        Row("graph", "difference from plain", difference(made, wanted, request), "", "0"),
    ]


def compiled(setting: Setting) -> list[Row]:
    """One sound compiled, without and with a graph."""
    request, sampler = setting.request(), few_step_sampler(setting)
    wanted = FixedGeneration(sampler, request)(request)
    start = time.perf_counter()
    generation = FixedGeneration(sampler, request, "eager" if setting.toy else "inductor")
    error = difference(generation, wanted, request)
    rows = [
        Row("compiled", "the first sound", time.perf_counter() - start, "s"),
        Row("compiled", "difference from plain", error, "", f"{TOLERANCE:g}"),
        Row("compiled", "one sound", 1000 * setting.seconds_of(partial(generation, request)), "ms"),
    ]
    if setting.device.type == "cuda":
        made = CapturedGeneration(generation)
        seconds = setting.seconds_of(partial(made, request))
        rows.append(Row("compiled", "one sound by a graph", 1000 * seconds, "ms", "10"))
    return rows


def throughput_of(setting: Setting, sampler: Sampler, part: str) -> list[Row]:
    """Seconds of sound in a second over sizes of a batch, and the share of the device's peak."""
    rows, peak = [], setting.peak()
    for clips in (1, 2) if setting.toy else (1, 4, 16, 64):
        request = setting.request(clips)
        generation = FixedGeneration(sampler, request)
        inputs = generation.inputs(request)
        with FlopCounterMode(display=False) as counter:
            generation.audio(inputs)
        seconds = setting.seconds_of(partial(generation.audio, inputs))
        speed = counter.get_total_flops() / seconds
        made = clips * setting.seconds / seconds
        rows += [
            Row(part, f"{clips} at once", made, "s of sound in a second"),
            Row(part, f"{clips} at once, share of the peak", speed / peak, "", "0.5"),
        ]
    return rows


def throughput(setting: Setting) -> list[Row]:
    """In bfloat16."""
    peaks = [
        Row("throughput", "one large product", setting.product() / 1e12, "TFLOP/s"),
        Row("throughput", "peak", setting.peak() / 1e12, "TFLOP/s"),
    ]
    return [*peaks, *throughput_of(setting, few_step_sampler(setting), "throughput")]


def float8(setting: Setting) -> list[Row]:
    """In eight bits, where the device computes in them; products are counted in bfloat16, so shares of its peak are left out."""
    if not setting.toy and not computes_float8(setting.device):
        return [Row("float8", "this device does not compute in eight bits", "left out")]
    sampler, request = few_step_sampler(setting), setting.request()
    wanted = sampler.latents(request)
    eight = replace(sampler, transformer=with_float8(sampler.transformer))
    error = float((eight.latents(request) - wanted).norm() / wanted.norm())
    rows = [Row("float8", "relative error of the latents", error)]
    for clips in (1, 2) if setting.toy else (1, 16):
        many = setting.request(clips)
        generation = FixedGeneration(eight, many)
        on_device = setting.device.type == "cuda"
        made = CapturedGeneration(generation) if on_device else generation
        seconds = setting.seconds_of(partial(made, many))
        rows.append(Row("float8", f"{clips} at once by a graph", 1000 * seconds, "ms"))
    return rows


def memory(setting: Setting) -> list[Row]:
    """Of weights, and at most while sounds are made."""
    if setting.device.type != "cuda":
        return [Row("memory", "is told by CUDA devices alone", "left out")]
    rows = []
    for dtype in (torch.bfloat16, torch.float32):
        torch.cuda.empty_cache()
        sampler, name = few_step_sampler(setting, dtype), str(dtype).removeprefix("torch.")
        held = torch.cuda.memory_allocated()
        rows.append(Row("memory", f"weights, {name}", held / 2**30, "GiB"))
        for clips in (1, 16):
            torch.cuda.reset_peak_memory_stats()
            sampler(setting.request(clips))
            most = torch.cuda.max_memory_allocated() / 2**30
            rows.append(Row("memory", f"{clips} at once, {name}", most, "GiB"))
        del sampler
    torch.cuda.empty_cache()
    there = few_step_sampler(replace(setting, device=torch.device("cpu")))
    torch.cuda.reset_peak_memory_stats()
    offloaded(there, setting.device)(setting.request())
    most = torch.cuda.max_memory_allocated() / 2**30
    return [*rows, Row("memory", "1 at once, bfloat16, parts wait elsewhere", most, "GiB")]


def training(setting: Setting) -> list[Row]:
    """Steps of the flows of the public recipes, from latents and hidden states that lie on the device."""
    from woosh.training import TrainingStep, adamw, prepare_blocks
    from woosh.training.flow.steps import FlowBatch, Prompts, training_step

    rows, peak, device = [], setting.peak(), setting.device
    for name, video in (("flow", None), ("video_flow", 768)):
        values = yaml.safe_load((ROOT / "configs" / f"{name}_public.yaml").read_text())
        frames = 40 if setting.toy else max(values["lengths"])
        clips = 2 if setting.toy else values["frames_per_batch"] // frames
        sizes: dict[str, Any] = TOY_TRANSFORMER if setting.toy else {}
        with torch.device(device):
            model = WooshTransformer(video_channels=video, **sizes).train()
            prepare_blocks((*model.joint, *model.fused), False, compiled=not setting.toy)
            config = model.config
            weight = torch.ones(config.latent_channels)
            step = TrainingStep(model, partial(training_step, channel_weight=weight))
            latents = torch.randn(clips, config.latent_channels, frames)
            states = torch.randn(clips, config.text_tokens, config.text_width)
            seen = None if video is None else torch.randn(clips, frames * 24 // 100, video)
            prompts = Prompts(states, torch.ones(clips, config.text_tokens), seen)
            batch = FlowBatch(latents, prompts, torch.randn_like(latents), torch.rand(clips))
        optimizer = adamw(model.parameters(), 1e-4, 0.0, (0.9, 0.95))

        def update(step: Any = step, batch: Any = batch, optimizer: Any = optimizer) -> None:
            with torch.autocast(device.type, torch.bfloat16):
                loss, _ = step(batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        update()
        operations = step.operations
        seconds = setting.seconds_of(update)
        rows += [
            Row("training", f"{name}, {clips} clips a step", clips / seconds, "clips in a second"),
            Row("training", f"{name}, share of the peak", operations / seconds / peak, "", "0.5"),
        ]
    return rows


def launch(setting: Setting) -> list[Row]:
    """The recipe of the flow by the launcher, alone, with DDP and with FSDP, in one process on cached latents."""
    from woosh.training.flow.latents import Common, LatentClip, write_common, write_latents

    rows, channels, frames = [], 8 if setting.toy else 128, 40 if setting.toy else 501
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        states = torch.randn(12, 16 if setting.toy else 1024)
        clip = LatentClip(torch.randn(channels, frames), ("a",), "a", "", "a", True, (states,))
        (folder / "latents").mkdir()
        write_latents(folder / "latents" / "latents-000000.tar", [clip] * 48, torch.float32)
        silence, tokens = torch.zeros(channels, frames), 12 if setting.toy else 77
        ones = torch.ones(channels), torch.ones(channels)
        common = Common(silence, ones[0], states[:3], tokens, ones[1])
        write_common(folder / "latents", common)
        for kind in ("alone", "ddp", "fsdp"):
            output = folder / kind
            command = [
                sys.executable,
                *launcher(kind),
                *recipe(setting, folder / "latents", output),
            ]
            on_cpu = {"ACCELERATE_USE_CPU": "true"} if setting.device.type == "cpu" else {}
            done = subprocess.run(
                command,
                check=False,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)} | on_cpu,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or [""])[-1]
                rows.append(Row("launch", f"flow, {kind} failed: {reason}", "failed"))
                continue
            last = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
            for key, unit in (("clips_per_second", "clips in a second"), ("mfu", "")):
                if key in last:
                    rows.append(Row("launch", f"flow, {kind}: {key}", last[key], unit))
    return rows


def launcher(kind: str) -> list[str]:
    """Arguments of Python that start a recipe in one process."""
    if kind == "alone":
        return []
    file = str(ROOT / "configs" / "accelerate" / f"{kind}.yaml")
    return [
        *("-m", "accelerate.commands.launch", "--config_file", file),
        *("--num_processes", "1", "--main_process_port", "0"),
    ]


def recipe(setting: Setting, latents: Path, output: Path) -> list[str]:
    """The recipe and its settings: a few steps of the public flow."""
    steps = 2 if setting.toy else 30
    small = {name: value for name, value in TOY_TRANSFORMER.items() if "text" not in name}
    small = {name: value for name, value in small.items() if name != "latent_channels"}
    small |= {"lengths": "[40]", "frames_per_batch": 80, "max_frames": 50}
    changes = {
        **{"output": output, "latents": latents, "steps": steps, "log_every": steps // 2},
        **{"save_every": steps, "trackers": "[]", "workers": 0, "compile": False},
        **(small if setting.toy else {}),
    }
    settings = [f"{name}={value}" for name, value in changes.items()]
    return ["training/train_flow.py", "configs/flow_public.yaml", *settings]


# Each part, and the seconds that it may take.
PARTS: dict[str, tuple[Callable[[Setting], list[Row]], float]] = {
    "plain": (plain, 60),
    "graph": (graph, 60),
    "throughput": (throughput, 70),
    "float8": (float8, 60),
    "memory": (memory, 45),
    "training": (training, 120),
    "launch": (launch, 120),
    "compiled": (compiled, 150),
}


def measured(name: str, setting: Setting) -> list[Row]:
    """The rows of a part, or the error that ended it."""
    try:
        return PARTS[name][0](setting)
    except (
        Exception
    ) as error:  # whatever a device refuses: the other parts are of use without this one
        last = str(error).strip().splitlines()[-1:] or [""]
        return [Row(name, f"failed: {type(error).__name__}: {last[0]}", "failed")]


def measured_alone(name: str, options: argparse.Namespace, limit: float) -> list[Row]:
    """The rows of a part in a process of its own, within a limit in seconds."""
    command = [sys.executable, __file__, "--device", options.device, "--parts", name, "--within"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=limit, check=True)
        return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]
    except subprocess.TimeoutExpired:
        return [Row(name, f"stopped after {limit:.0f} s", "failed")]
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        return [Row(name, f"failed: {error}", "failed")]


def table(rows: Sequence[Row]) -> str:
    """Rows in Markdown."""
    lines = []
    for row in rows:
        value = row.value if isinstance(row.value, str) else f"{row.value:.4g}"
        lines.append(
            f"| {row.part} | {row.what} | {value} {row.unit}".rstrip() + f" | {row.goal} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every part, print a table, and write the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--device", default="cuda")
    add("--json", type=Path, metavar="FILE.json")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME")
    add("--toy", action="store_true", help="small networks, all in this process")
    add("--within", action="store_true", help=argparse.SUPPRESS)  # a part's own process
    options = parser.parse_args()
    setting = Setting(torch.device(options.device), options.toy)
    if options.within:
        print(
            json.dumps([asdict(row) for name in options.parts for row in measured(name, setting)])
        )
        return
    end, rows = time.monotonic() + 60 * MINUTES, []
    print("| part | what | measured | goal on an H200 |\n|---|---|---|---|")
    for name in options.parts:
        limit = min(PARTS[name][1], end - time.monotonic())
        if options.toy:
            made = measured(name, setting)
        elif limit > 0:
            made = measured_alone(name, options, limit)
        else:
            made = [Row(name, f"left out: {MINUTES:g} minutes are over", "failed")]
        print(table(made), flush=True)
        rows += made
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()

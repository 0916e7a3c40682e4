"""How many processor seconds taggers take for a second of sound: front end and network apart, on one thread.

    python benchmarks/tagger_speed.py [NAME ...] [--seconds S] [--runs N] [--onnx]

A name is a size of random weights, such as mn04, mn10 or dymn04 (speed does not depend on the weights), a tagger's name or
folder, or a file of published weights. Every piece of sound is heard alone. The runs of all taggers take turns, and the median of each
counts, so that whatever else the machine does is shared. "x real time" is the length of the sound over the time of front
end and network. With --onnx the exported graph, front end included, runs in ONNX Runtime as well.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import nn

from woosh.catalogue import find_tagger
from woosh.command_line import missing_extra
from woosh.conversion.onnx_export import export_onnx
from woosh.taggers.dynamic_mobilenet import DynamicMobileNet
from woosh.taggers.log_mel import LogMel
from woosh.taggers.mobilenet import MobileNet
from woosh.taggers.published import load_published
from woosh.taggers.tagger import load_tagger

CLASSES = 527  # of networks by size
Call = Callable[[], object]


def tagger_of(name: str) -> MobileNet | DynamicMobileNet:
    """A network by its size, by a tagger's name or folder, or from a file."""
    size = re.fullmatch(r"(dy)?mn(\d\d)", name)
    if size is None:
        place = find_tagger(name)
        return load_tagger(place).network if place.is_dir() else load_published(place)  # type: ignore[return-value]
    kind = DynamicMobileNet if size[1] else MobileNet
    return kind(int(size[2]) / 10, classes=CLASSES).eval()


def processor_seconds(call: Call) -> float:
    """Of one call, of all threads."""
    start = time.process_time()
    call()
    return time.process_time() - start


def in_onnx_runtime(network: nn.Module, front_end: LogMel, audio: torch.Tensor) -> Call:
    """The exported graph on one thread."""
    try:
        import onnxruntime
    except ImportError as error:
        sys.exit(
            f"tagger_speed: error: {missing_extra('graphs need onnxruntime', 'onnx')} ({error})"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tagger.onnx"
        export_onnx(network, path, front_end)  # type: ignore[arg-type]
        graph = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {"audio": audio.numpy()}
    return lambda: graph.run(None, given)


def medians(calls: dict[str, Call], runs: int) -> dict[str, float]:
    """Processor seconds of each call; the first turn warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for turn in range(runs + 1):
            for name, call in calls.items():
                taken = processor_seconds(call)
                if turn:
                    times[name].append(taken)
    return {name: median(taken) for name, taken in times.items()}


def main(options: argparse.Namespace) -> None:
    """Measure all in turns and print a row for each tagger."""
    torch.set_num_threads(1)
    front = LogMel()
    samples = round(options.seconds * front.sample_rate)
    audio = 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(0))
    log_mel = front(audio)[:, None]
    networks = {name: tagger_of(name) for name in options.names}
    calls: dict[str, Call] = {"front end": lambda: front(audio)}
    for name, network in networks.items():
        calls[name] = lambda network=network: network(log_mel)
        if options.onnx:
            calls[f"{name}, ONNX"] = in_onnx_runtime(network, front, audio)
    taken = medians(calls, options.runs)
    spent = {name: seconds / options.seconds for name, seconds in taken.items()}
    print(f"torch {torch.__version__}, pieces of {options.seconds:g} s, median of {options.runs}")
    titles = ["tagger", "parameters", "front end", "network", "x real time"]
    titles += ["ONNX Runtime, both", "x real time"] if options.onnx else []
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    heard = spent["front end"]
    for name, network in networks.items():
        named = spent[name]
        cells = [Path(name).name, f"{sum(p.numel() for p in network.parameters()):,}"]
        cells += [f"{heard:.5f}", f"{named:.5f}", f"{1 / (heard + named):.0f}"]
        if options.onnx:
            whole = spent[f"{name}, ONNX"]
            cells += [f"{whole:.5f}", f"{1 / whole:.0f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("names", nargs="*", default=["mn04", "mn10", "dymn04"], metavar="NAME")
    add("--seconds", type=float, default=10.0, help="length of the piece")
    add("--runs", type=int, default=15)
    add("--onnx", action="store_true", help="also in ONNX Runtime; exporting takes a minute each")
    main(parser.parse_args())

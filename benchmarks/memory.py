"""Memory of converting and loading released checkpoints, and the time of a generation (Linux).

    python benchmarks/memory.py [--manifests DIR] [--work DIR] [NAME ...]

Builds released folders of full size from their manifests, with reproducible weights in place of the
real ones, and then, each in a fresh process, converts them, loads the whole text-to-audio pipeline
and generates 5 s. It prints the most memory that the work added to what the process held after its
imports, divided by the size of the weights; the goal is at most 1.3. Needs up to 16 GB of disk in --work.

The manifests are found in `official/full` of the folder that WOOSH_SHARED names, or of `shared`
beside the checkout.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

SHARED = Path(os.environ.get("WOOSH_SHARED", Path(__file__).parents[2] / "shared"))
PARTS = ("Woosh-AE", "TextConditionerA")  # what the text generators refer to
NAMES = ("Woosh-AE", "TextConditionerA", "Woosh-Flow", "Woosh-DFlow")
PROMPT = "a dog barking"


def resident(field: str) -> int:
    """Bytes of resident memory of this process: now (VmRSS) or at its peak (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def build(manifest: Path, folder: Path) -> None:
    """Write a released folder: the configuration, and weights that follow from their names."""
    import torch
    from safetensors.torch import save_file

    entries = json.loads((manifest / "manifest.json").read_text())
    constant = {"$keep", *entries.get("$keep", [])}
    tensors = {}
    for name, (shape, _) in ((n, entry) for n, entry in entries.items() if n not in constant):
        generator = torch.Generator().manual_seed(zlib.crc32(f"0:{name}".encode()))
        values = torch.randn(shape, generator=generator)
        if name.endswith(("running_var", "z_std")):
            values = values.abs_().mul_(0.1).add_(1)
        elif len(shape) < 2:
            values.mul_(0.1)
            if name.endswith("weight"):
                values.add_(1)
        else:
            values.div_(math.sqrt(values.numel() / shape[0]))
        tensors[name] = values
    folder.mkdir(parents=True)
    shutil.copy(manifest / "config.yaml", folder)
    save_file(tensors, folder / "weights.safetensors")


def build_tokenizer(folder: Path) -> None:
    """Write a byte-level tokenizer without merges: it stands in for RoBERTa's, offline."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    entries = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {token: number for number, token in enumerate(entries)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)


def child_convert(source: str, target: str, tokenizer: str) -> None:
    """Convert, and report the memory it took."""
    # Imported for its effect: from_pretrained and the tokenizer import these anyway.
    import woosh.generation.pipeline  # noqa: F401
    from woosh.conversion.convert import convert

    report(lambda: convert(source, target, tokenizer=tokenizer))


def child_load(folder: str) -> None:
    """Load a whole pipeline, and report the memory it took."""
    from woosh.generation.pipeline import WooshPipeline

    report(lambda: WooshPipeline.from_pretrained(folder, local_files_only=True))


def child_generate(folder: str, seconds: str) -> None:
    """Generate in four steps, and report the time without loading."""
    import torch

    from woosh.generation.pipeline import WooshPipeline

    pipeline = WooshPipeline.from_pretrained(folder, local_files_only=True)
    for times in ("first", "second"):
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(0)
        audio = pipeline(PROMPT, seconds=float(seconds), num_inference_steps=4, generator=generator)
        spent = time.perf_counter() - start
        threads = torch.get_num_threads()
        print(f"{times} call: {audio.audios.shape[-1]} samples in {spent:.1f} s, {threads} threads")


def report(work: Callable[[], object]) -> None:
    """Print the memory that `work` adds to this process at most, in bytes, and its time."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from here, not of imports
    before, start = resident("VmRSS"), time.perf_counter()
    result = work()
    print(resident("VmHWM") - before, time.perf_counter() - start)
    del result


CHILDREN: dict[str, Callable[..., None]] = {
    "convert": child_convert,
    "load": child_load,
    "generate": child_generate,
}


def run_child(name: str, *arguments: str | Path) -> str:
    """Run one of the functions above in a fresh process and return what it prints.

    Raises:
        subprocess.CalledProcessError: it failed; its own messages went to stderr.
    """
    command = [sys.executable, __file__, "--child", name, *map(str, arguments)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return answer.stdout.strip()


def weight_bytes(folder: Path) -> int:
    """Bytes of all weights below a converted folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def print_memory(what: str, answer: str, weights: int) -> None:
    """Print one line of the result."""
    peak, seconds = answer.splitlines()[-1].split()
    print(
        f"{what}: {int(peak) / 1e6:.0f} MB above the imports for {weights / 1e6:.0f} MB of weights, "
        f"{int(peak) / weights:.2f} times, {float(seconds):.1f} s",
        flush=True,
    )


def measure(names: Sequence[str], manifests: Path, work: Path, seconds: float) -> None:
    """Build, convert, load and generate, one checkpoint at a time."""
    tokenizer = work / "tokenizer"
    build_tokenizer(tokenizer)
    for part in PARTS:
        build(manifests / part, work / part)
    for name in names:
        if name not in PARTS:
            build(manifests / name, work / name)
        converted = work / f"{name}-converted"
        answer = run_child("convert", work / name, converted, tokenizer)
        print_memory(f"converting {name}", answer, weight_bytes(converted))
        if (converted / "model_index.json").is_file():
            print_memory(f"loading {name}", run_child("load", converted), weight_bytes(converted))
        if name == "Woosh-DFlow":
            print(f"generating with {name}:\n{run_child('generate', converted, str(seconds))}")
        shutil.rmtree(converted)
        if name not in PARTS:
            shutil.rmtree(work / name)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and measure, in a temporary folder that is removed afterwards."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "--child":
        CHILDREN[argv[1]](*argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(NAMES)}")
    parser.add_argument("--manifests", type=Path, default=SHARED / "official" / "full")
    parser.add_argument("--work", type=Path, help="where the temporary folder is made")
    parser.add_argument("--seconds", type=float, default=5.0, help="length to generate")
    arguments = parser.parse_args(argv)
    if not arguments.manifests.is_dir():
        parser.error(f"no folder {arguments.manifests}: name it with --manifests or WOOSH_SHARED")
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        measure(arguments.names or NAMES, arguments.manifests, Path(work), arguments.seconds)


if __name__ == "__main__":
    main()

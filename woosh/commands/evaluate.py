"""`woosh evaluate`: every metric of generated sounds and of autoencoders, one documented way."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from woosh import catalogue
from woosh.command_line import Parser
from woosh.commands.options import (
    add_device_option,
    count_up_to,
    explain,
    number,
    seed_number,
    whole_number,
)
from woosh.commands.outputs import check_file
from woosh.outside_files import expanded, printable
from woosh.progress import progress_on_terminals
from woosh.whole_files import replacing, write_text

if TYPE_CHECKING:
    from woosh.embeddings.cache import EmbeddingCache
    from woosh.embeddings.embedders import Embedder, ExternalEmbeddings
    from woosh.evaluation.clip_sets import Reading

MAX_WORKERS = 256
MAX_CLIPS = 10_000
EXAMPLES = """\
examples:
  woosh evaluate generation --generated takes/ --reference recordings/
  woosh evaluate generation --generated takes/ --reference recordings/ --crop 5 \\
      --captions captions.jsonl --embedding woosh-tiny-clap --embedding passt:s10:passt.pt \\
      --json result.json --plot result.png
  woosh evaluate autoencoder --model woosh-tiny --audio recordings/ --crop 10
  woosh evaluate robustness --audio recordings/ --ear woosh-tiny-tagger --ear woosh-tiny-clap
  woosh evaluate synchrony --generated dubbed/ --reference videos/ --synchformer synchformer_state_dict.pth

embeddings (several may be given):
  woosh-tiny-clap, DIR          an aligner: distances, and the CLAP score with --captions
  laion-clap[:NAME|DIR]         LAION-CLAP through transformers: likewise
  passt:VARIANT:FILE            PaSST: distances, KL of the tags and inception score
  log-mel                       statistics of the spectrum, without any training
  FILE.npz                      embeddings computed elsewhere, by "folder/file" or "file"
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser its own commands, one for each kind."""
    explain(
        parser,
        description="Measure generated sounds against recordings, or an autoencoder. A result "
        "follows from the files' contents alone and says how it came about.",
        examples=EXAMPLES,
    )
    kinds = parser.add_subparsers(metavar="WHAT", required=True, parser_class=Parser)
    generation = kinds.add_parser("generation", help="generated clips against reference clips")
    explain(
        generation,
        run_generation,
        description="Frechet distance and FD-infinity, kernel distance, precision, recall, density "
        "and coverage; with a tagger KL and inception score, with captions and an aligner the CLAP "
        "score. Clips of equal names in both folders form pairs.",
        examples=EXAMPLES,
    )
    add = generation.add_argument
    add("--generated", type=Path, required=True, metavar="DIR", help="folder of generated clips")
    add("--reference", type=Path, required=True, metavar="DIR", help="folder of reference clips")
    add(
        "--captions",
        type=Path,
        metavar="JSONL",
        help='one row per clip: {"file": "dog.wav", "caption": "a dog barking"}',
    )
    add(
        "--embedding",
        action="append",
        metavar="NAME|DIR",
        help=f"see below; default {catalogue.DEFAULT_ALIGNER}",
    )
    add("--seed", type=seed_number, default=0, help="of the random subsets (default 0)")
    add(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where embeddings are kept, by content (default: the user's cache folder)",
    )
    _add_common(generation)
    autoencoder = kinds.add_parser("autoencoder", help="recordings through an autoencoder")
    explain(
        autoencoder,
        run_autoencoder,
        description="MelDist, STFTDist, multi-resolution STFT distance, SI-SDR, loudness error and "
        "onset F-measure between recordings and their reconstructions.",
    )
    add = autoencoder.add_argument
    add("--audio", type=Path, required=True, metavar="DIR", help="folder of recordings")
    add(
        "--model",
        default=catalogue.DEFAULT_MODEL,
        metavar="NAME|DIR",
        help=f"a built-in model, a model folder or an autoencoder's (default {catalogue.DEFAULT_MODEL})",
    )
    _add_common(autoencoder)
    synchrony = kinds.add_parser("synchrony", help="whether the sound of videos fits their picture")
    explain(
        synchrony,
        run_synchrony,
        description="Onsets against those of the videos' true sound (precision, recall, F1 and mean "
        "offset within 20, 50 and 100 ms, and what chance gives), DeSync with Synchformer's weights, "
        "and the cosine of embeddings computed elsewhere, as with ImageBind. Ask for one or more.",
    )
    add = synchrony.add_argument
    add("--generated", type=Path, required=True, metavar="DIR", help="folder of videos with sound")
    add(
        "--reference",
        type=Path,
        metavar="DIR",
        help="folder of the videos with their true sound, under the same names",
    )
    add(
        "--synchformer",
        type=Path,
        metavar="FILE",
        help="Synchformer's published weights, all of them",
    )
    for what in ("sound", "video"):
        add(f"--{what}-embeddings", type=Path, metavar="FILE.npz", help=f"of the {what}s, by name")
    _add_json(synchrony)
    add_device_option(synchrony)
    _fill_robustness(kinds.add_parser("robustness", help="how far ears can be trusted"))


def _fill_robustness(parser: argparse.ArgumentParser) -> None:
    explain(
        parser,
        run_robustness,
        description="How many clips an ear takes for another one after changes 30 to 60 dB below the sound: random ones, "
        "one step along the gradient (FGSM) and ten (PGD). Also how its predictions bend (stress), and, where clips lie "
        "in a sub-folder for each class, which clips help or hurt a linear probe most.",
    )
    add = parser.add_argument
    add("--audio", type=Path, required=True, metavar="DIR", help="folder of clips")
    add(
        "--ear",
        action="append",
        metavar="NAME|DIR",
        help=f"an aligner or a tagger, as --embedding takes it (default {catalogue.DEFAULT_TAGGER} and "
        f"{catalogue.DEFAULT_ALIGNER})",
    )
    add(
        "--clips",
        type=count_up_to(MAX_CLIPS),
        default=40,
        metavar="N",
        help="that are drawn (default 40)",
    )
    add("--seed", type=seed_number, default=0, help="of what is drawn (default 0)")
    _add_json(parser)
    add("--plot", type=Path, metavar="FILE.png", help="draw it (needs matplotlib)")
    add_device_option(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole result here")


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--crop",
        type=number(0, open_low=True),
        metavar="SECONDS",
        help="hear this much of each clip, from its beginning (default: all)",
    )
    _add_json(parser)
    add("--plot", type=Path, metavar="FILE.png", help="draw it (needs matplotlib)")
    add(
        "--workers",
        type=whole_number(0, MAX_WORKERS),
        default=0,
        metavar="N",
        help="processes that read files beside this one (default 0)",
    )
    add_device_option(parser)


def run_generation(arguments: argparse.Namespace) -> None:
    """`woosh evaluate generation`: check, load, measure, print."""
    for folder in (arguments.generated, arguments.reference):
        _check_folder(folder)
    if arguments.captions is not None and not arguments.captions.is_file():
        raise FileNotFoundError(f"no captions at {arguments.captions}")
    _check_outputs(arguments)
    import torch

    from woosh.embeddings.cache import EmbeddingCache, default_cache_folder
    from woosh.evaluation.generation import evaluate_generation

    names = list(dict.fromkeys(arguments.embedding or [catalogue.DEFAULT_ALIGNER]))
    embedders = [_load(name, arguments.device) for name in names]
    cache = EmbeddingCache(arguments.cache or default_cache_folder())
    result = evaluate_generation(
        arguments.generated,
        arguments.reference,
        embedders,
        torch.Generator().manual_seed(arguments.seed),
        captions=arguments.captions,
        reading=_reading(arguments, cache),
    )
    print(generation_table(result))
    for part in result["embeddings"]:
        _print_warnings(part["name"], part["warnings"])
    _write(arguments, result)


def run_autoencoder(arguments: argparse.Namespace) -> None:
    """`woosh evaluate autoencoder`: check, load, measure, print."""
    _check_folder(arguments.audio)
    _check_outputs(arguments)
    folder = expanded(arguments.model)
    if not (folder / "config.json").is_file():
        folder = catalogue.part_folders(catalogue.find_model(arguments.model))["autoencoder"]

    from woosh.generation.loading import choose_device, quiet_libraries

    device = choose_device(arguments.device)
    quiet_libraries()
    import torch

    from woosh.autoencoder import load_autoencoder
    from woosh.evaluation.autoencoder import evaluate_autoencoder

    autoencoder = load_autoencoder(folder, torch.float32).eval().to(device)
    result = evaluate_autoencoder(autoencoder, folder, arguments.audio, _reading(arguments, None))
    print(autoencoder_table(result))
    _print_warnings(folder.parent.name, result["warnings"])
    _write(arguments, result)


def run_synchrony(arguments: argparse.Namespace) -> None:
    """`woosh evaluate synchrony`: check, load, measure, print."""
    embeddings = (arguments.sound_embeddings, arguments.video_embeddings)
    if (embeddings[0] is None) != (embeddings[1] is None):
        raise ValueError("--sound-embeddings and --video-embeddings belong together: name both")
    if arguments.reference is None and arguments.synchformer is None and embeddings[0] is None:
        raise ValueError("nothing to measure: name --reference, --synchformer or both embeddings")
    for folder in (arguments.generated, arguments.reference):
        if folder is not None:
            _check_folder(folder)
    _check_json(arguments.json)

    from woosh.generation.loading import choose_device, quiet_libraries

    device = choose_device(arguments.device)
    quiet_libraries()
    from woosh.embeddings.embedders import load_external
    from woosh.evaluation.desync import load_desync
    from woosh.evaluation.synchrony import evaluate_synchrony

    desync = None
    if arguments.synchformer is not None:
        desync = load_desync(expanded(arguments.synchformer)).to(device)
    vectors = [load_external(path) for path in embeddings if path is not None]
    result = evaluate_synchrony(
        arguments.generated,
        arguments.reference,
        desync,
        (vectors[0], vectors[1]) if vectors else None,
        progress_on_terminals,
    )
    print(synchrony_table(result))
    _print_warnings("synchrony", result["warnings"])
    _write_json(arguments.json, result)


def run_robustness(arguments: argparse.Namespace) -> None:
    """`woosh evaluate robustness`: check, load, attack, print."""
    _check_folder(arguments.audio)
    _check_outputs(arguments)

    from woosh.generation.loading import choose_device, quiet_libraries

    device = choose_device(arguments.device)
    quiet_libraries()
    import torch

    from woosh.embeddings.embedders import load_embedder
    from woosh.evaluation.robustness import evaluate_robustness

    usual = [catalogue.DEFAULT_TAGGER, catalogue.DEFAULT_ALIGNER]
    ears = [load_embedder(name, device) for name in dict.fromkeys(arguments.ear or usual)]
    generator = torch.Generator().manual_seed(arguments.seed)
    result = evaluate_robustness(arguments.audio, ears, arguments.clips, generator)
    print(robustness_table(result))
    _write(arguments, result)


def _load(name: str, device: str) -> Embedder | ExternalEmbeddings:
    from woosh.embeddings.embedders import load_embedder, load_external

    if name.endswith(".npz"):
        return load_external(expanded(name))

    from woosh.generation.loading import choose_device, quiet_libraries

    quiet_libraries()
    return load_embedder(name, choose_device(device))


def _reading(arguments: argparse.Namespace, cache: EmbeddingCache | None) -> Reading:
    from woosh.evaluation.clip_sets import Reading

    return Reading(arguments.crop, arguments.workers, cache, progress_on_terminals)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")


def _check_json(path: Path | None) -> None:
    if path is not None:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: name a file")
        check_file(path)


def _check_outputs(arguments: argparse.Namespace) -> None:
    for path in (arguments.json, arguments.plot):
        _check_json(path)
    if arguments.plot is not None and arguments.plot.suffix.lower() != ".png":
        raise ValueError(f"--plot {arguments.plot.name}: its extension must be .png")


def _write_json(path: Path | None, result: dict[str, Any]) -> None:
    if path is not None:
        text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(path, text + "\n")


def _write(arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    _write_json(arguments.json, result)
    if arguments.plot is not None:
        from woosh.evaluation import plots

        draw = {
            "generation": plots.plot_generation,
            "autoencoder": plots.plot_autoencoder,
            "robustness": plots.plot_robustness,
        }[result["kind"]]
        with replacing(arguments.plot, ".png") as part:
            draw(result, part)


def _print_warnings(title: str, warnings: list[dict[str, str]]) -> None:
    for warning in warnings:
        print(f"woosh: warning: {title}: {warning['name']}: {warning['message']}", file=sys.stderr)


def generation_table(result: dict[str, Any]) -> str:
    """The metrics as text, a column for each embedding."""
    rows: dict[str, list[str]] = {}
    parts = result["embeddings"]
    for column, part in enumerate(parts):
        for name, text in _flat(part["metrics"]):
            rows.setdefault(name, ["-"] * len(parts))[column] = text
    counts = {name: part["clips"] for name, part in result["sets"].items()}
    title = f"{counts['generated']} generated, {counts['reference']} reference clips"
    return _table([title, *(part["name"] for part in parts)], rows)


def autoencoder_table(result: dict[str, Any]) -> str:
    """The metrics as text."""
    rows = {
        f"{name} {summary['unit']}".rstrip(): [
            _number(summary["mean"]),
            _number(summary["median"]),
            str(summary["clips"]),
        ]
        for name, summary in result["metrics"].items()
    }
    return _table(["", "mean", "median", "clips"], rows)


def robustness_table(result: dict[str, Any]) -> str:
    """The share of clips that are mistaken as text, a column for each ear, and what helps or hurts."""
    ears = result["ears"]
    rows: dict[str, list[str]] = {}
    for ear in ears:
        for level in ear["levels"]:
            for name, share in level["mistaken"].items():
                title = f"{name}, {level['decibels_below']:g} dB below"
                rows.setdefault(title, []).append(_number(share))
        rows.setdefault("stress", []).append(_number(ear["stress"]))
    lines = [_table(["clips taken for another", *(ear["name"] for ear in ears)], rows)]
    for ear in ears:
        lines += [
            f"{ear['name']}: influence {_number(one['influence'])}  {printable(one['file'])}"
            for one in ear["influence"]
        ]
    return "\n".join(lines)


def synchrony_table(result: dict[str, Any]) -> str:
    """The metrics as text, a column for each tolerance."""
    scores = result["metrics"]["onsets"] or []
    rows = {
        name: [_number(score[name]) for score in scores]
        for name in ("f1", "precision", "recall", "offset_seconds", "f1_by_chance")
        if scores
    }
    heads = [f"{1000 * score['tolerance_seconds']:g} ms" for score in scores]
    lines = [_table([f"{result['set']['clips']} videos", *heads], rows)]
    for name in ("desync_seconds", "embedding_cosine"):
        if result["metrics"][name] is not None:
            lines.append(f"{name.replace('_', ' ')}  {_number(result['metrics'][name])}")
    return "\n".join(lines)


def _flat(metrics: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in metrics.items():
        if name == "kernel_distance" and value is not None:
            yield name, f"{_number(value['value'])} +- {_number(value['standard_error'])}"
        elif name == "frechet_distance_infinity" and value is not None:
            yield name, _number(value["value"])
        elif name == "inception_score" and value is not None:
            yield name, f"{_number(value['mean'])} +- {_number(value['deviation'])}"
        elif isinstance(value, dict):
            for part, number_ in value.items():
                yield part if part in name else f"{name} {part}", _number(number_)
        else:
            yield name, _number(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _table(heads: list[str], rows: dict[str, list[str]]) -> str:
    lines = [heads, *([name.replace("_", " "), *cells] for name, cells in rows.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )

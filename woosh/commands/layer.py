"""`woosh layer`: generated and own sounds mixed on a timeline."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import __version__, audio, catalogue
from woosh.audio.finishing import TRUE_PEAK
from woosh.commands.options import (
    add_dtype_option,
    add_model_options,
    explain,
    number,
    seed_number,
)
from woosh.commands.outputs import check_file, check_writable
from woosh.outside_files import expanded, shown
from woosh.whole_files import write_text

if TYPE_CHECKING:
    import numpy as np

    from woosh.generation.request import Request
    from woosh.generation.sampling import Sampler
    from woosh.studio.layers import Layer, Mix, Placed

SAMPLE_RATE = 48_000  # of a mix without generated sounds
Record = Mapping[str, str | int | float]
EXAMPLES = """\
examples:
  woosh layer "0.5 s a door creaks; 2 - 4.5 s steps on wood" -o scene.wav
  woosh layer storm.csv -o storm.wav --loudness -23

It writes storm.wav, storm.json with what was mixed, and a stem for each layer in storm-stems/.

columns (the first row of a CSV file names them; each row has a prompt or a file):
  prompt, file   what to hear, or a sound beside the sheet
  name           of the stem
  start          seconds before it (0 where left out)
  level          dB (0); generated sounds have -23 LUFS before it, files their own level
  pan            from -1, left, to 1, right (0), with equal power
  fade_in, fade_out   seconds (0)
  loudness       LUFS that the sound is brought to before its level
  seconds        length; a file is cut to it
  negative, sound_seconds, steps, guidance, seed   of generated sounds, as in `woosh batch`
In YAML the rows are a list under `layers:`.
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Mix generated and own sounds on a timeline, in stereo, and keep the stems.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("layers", metavar="SHEET|EVENTS", help="a .csv or .yaml file, or timed events as a text")
    add(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="the mix, whose extension tells its format and that of the stems; it is overwritten",
    )
    add(
        "--seconds",
        type=number(0, open_low=True),
        default=5.0,
        metavar="S",
        help="length of generated sounds that name none (default 5)",
    )
    add(
        "--seed",
        type=seed_number,
        metavar="N",
        help="the layers that name no seed take N, N + 1, ... (default: from name and prompt, so always the same)",
    )
    add(
        "--loudness",
        type=number(-70, 0),
        metavar="LUFS",
        help="integrated loudness of the mix, from -70 to 0; peaks are never clipped",
    )
    add_dtype_option(parser)
    add_model_options(parser)


@dataclass(frozen=True)
class Source:
    """A layer, and what its sound comes from."""

    layer: Layer
    request: Request | None  # of a generated sound
    file: Path | None  # of one's own
    seconds: float
    record: Record  # that its stem carries
    licence: str | None  # of the weights that make it


@dataclass(frozen=True)
class Outputs:
    """The files that are written."""

    mix: Path
    listing: Path
    stems: Sequence[Path]


def run(arguments: argparse.Namespace) -> None:
    """`woosh layer`: check all layers, make or read their sounds, then write stems, mix and what was mixed."""
    from woosh.studio.layers import mix, parse_events, place, read_layers
    from woosh.studio.sheets import is_sheet, naming

    words = arguments.layers
    layers = read_layers(expanded(words)) if is_sheet(words) else parse_events(words)
    beside = expanded(words).parent if is_sheet(words) else Path()
    info = None
    if any(layer.row.file is None for layer in layers):
        info = catalogue.describe_model(catalogue.find_model(arguments.model))
    sources = []
    with naming(words if is_sheet(words) else "events"):
        for index, layer in enumerate(layers):
            with naming(f"layer {layer.name!r}"):
                sources.append(_source(layer, index, beside, info, arguments))
        _check_lengths(sources)
    outputs = _outputs(expanded(arguments.output), layers)

    sampler, rate = None, SAMPLE_RATE
    if info is not None:
        from woosh.generation.loading import load_model

        sampler, rate = load_model(info, arguments.device, arguments.dtype), info.sample_rate
    placed = []
    for index, source in enumerate(sources):
        sound, sources[index] = _made(source, info, sampler, rate)
        placed.append(place(source.layer.row, sound, rate))
    ceiling = min(audio.CEILINGS[audio.format_of(outputs.mix)], 10 ** (TRUE_PEAK / 20))
    mixed = mix(placed, rate, arguments.loudness, ceiling)
    if not mixed.reached:
        print(
            f"woosh: note: {arguments.loudness:g} LUFS would pass the peak's limit of {TRUE_PEAK:.1f} dB; the mix has "
            f"{mixed.loudness:.1f} LUFS",
            file=sys.stderr,
        )
    _write(outputs, sources, placed, mixed, rate)


def _source(
    layer: Layer,
    index: int,
    beside: Path,
    info: catalogue.ModelInfo | None,
    arguments: argparse.Namespace,
) -> Source:
    """What a layer's sound comes from, checked.

    Raises:
        ValueError: the model cannot make it, or the file is no sound.
        FileNotFoundError: there is no such file.
    """
    row = layer.row
    if row.file is not None or info is None:
        file = beside / expanded(row.file or "")
        seconds = audio.audio_seconds(file)
        seconds = seconds if row.seconds is None else min(seconds, row.seconds)
        record = _record_of(file)
        audio.encode_metadata(record, audio.ASKED_BYTES)
        return Source(layer, None, file, seconds, record, None)
    request = layer.request(arguments.seconds, arguments.seed, index)
    request.check(info)
    record = request.record(info.name)
    audio.encode_metadata(record, audio.ASKED_BYTES)
    return Source(layer, request, None, request.seconds, record, info.licence)


def _record_of(file: Path) -> Record:
    """What the stem of a file keeps: what the file says of itself, if it was generated, and its name."""
    try:
        record = audio.read_metadata(file)
    except ValueError:  # a recording
        record = {}
    return {**record, "source": file.name, "version": __version__}


def _check_lengths(sources: Sequence[Source]) -> None:
    from woosh.studio.layers import LONGEST_MIX, LONGEST_SUM

    for source in sources:
        row = source.layer.row
        if row.start + source.seconds > LONGEST_MIX:
            raise ValueError(
                f"layer {source.layer.name!r} ends at {row.start + source.seconds:g} s: a mix has up to "
                f"{LONGEST_MIX:g} s"
            )
        for name in ("fade_in", "fade_out"):
            if getattr(row, name) > source.seconds:
                raise ValueError(
                    f"layer {source.layer.name!r}: {name} is longer than its {source.seconds:g} s"
                )
    total = sum(source.seconds for source in sources)
    if total > LONGEST_SUM:
        raise ValueError(
            f"the layers have {total:.0f} s in all, more than {LONGEST_SUM:g}: mix them in parts"
        )


def _outputs(mix: Path, layers: Sequence[Layer]) -> Outputs:
    """The files of a mix, all of which can be written.

    Raises:
        ValueError: an unknown extension, or stems of another mix lie in the folder.
        OSError: a file cannot be written.
    """
    audio.format_of(mix)
    listing, folder = mix.with_suffix(".json"), mix.with_name(f"{mix.stem}-stems")
    check_file(mix)
    check_file(listing)
    names = [f"{index:02d}-{layer.name}{mix.suffix}" for index, layer in enumerate(layers, start=1)]
    if folder.exists():
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} exists and is not a folder")
        check_writable(folder)
        others = sorted({path.name for path in folder.iterdir()} - set(names))
        if others:
            raise ValueError(
                f"{folder} holds {shown(others[0])}, which is no stem of this mix: remove that folder, or name another "
                "mix"
            )
    return Outputs(mix, listing, [folder / name for name in names])


def _made(
    source: Source, info: catalogue.ModelInfo | None, sampler: Sampler | None, sample_rate: int
) -> tuple[np.ndarray, Source]:
    """The sound (C, S) of a layer, of one or two channels, and the source with the whole record of it.

    A generated one is finished as `woosh generate --keep-length` does it: it begins where its layer does, at a known level.

    Raises:
        NoSoundError: a model made silence from every seed of a take.
    """
    if source.request is None:
        return _recording(source, sample_rate), source
    assert info is not None and sampler is not None  # there where a layer has a request

    from woosh.generation.records import full_record
    from woosh.studio.takes import draw_take

    take = draw_take(sampler, source.request)
    if take.silent_seeds:
        print(
            f"woosh: note: layer {source.layer.name!r}: silence from seed "
            f"{', '.join(map(str, take.silent_seeds))}, drawn again with seed {take.seed}",
            file=sys.stderr,
        )
    record = full_record(replace(source.request, seed=take.seed), info, sampler)
    settings = audio.FinishSettings(samples=source.request.samples(sample_rate))
    return audio.finish(take.sound, sample_rate, settings).audio, replace(source, record=record)


def _recording(source: Source, sample_rate: int) -> np.ndarray:
    """The sound (C, S) of a layer's file."""
    assert source.file is not None  # of a layer without a request
    sound = audio.read_audio(source.file, sample_rate, mono=False, longest_seconds=source.seconds)
    sound = sound[:, : max(1, round(source.seconds * sample_rate))]
    return sound if len(sound) <= 2 else sound.mean(axis=0, keepdims=True)


def _write(
    outputs: Outputs,
    sources: Sequence[Source],
    placed: Sequence[Placed],
    mixed: Mix,
    sample_rate: int,
) -> None:
    samples = mixed.sound.shape[1]
    for source, layer, path in zip(sources, placed, outputs.stems, strict=True):
        path.parent.mkdir(exist_ok=True)
        audio.write_audio(path, layer.stem(samples, mixed.gain), sample_rate, source.record)
        print(f"{path}  from {source.layer.row.start:g} s, {source.seconds:.2f} s", flush=True)
    models = dict.fromkeys(str(one.record["model"]) for one in sources if "model" in one.record)
    made_by = {"model": ", ".join(models)} if models else {}
    record = {"layers": len(sources), **made_by, "version": __version__}
    audio.write_audio(outputs.mix, mixed.sound, sample_rate, record)
    listing = {
        "mix": outputs.mix.name,
        "sample_rate": sample_rate,
        "samples": samples,
        "gain": mixed.gain,
        "loudness": mixed.loudness if mixed.loudness > -200 else None,
        "version": __version__,
        "layers": [
            _listed(source, layer, path, mixed.gain)
            for source, layer, path in zip(sources, placed, outputs.stems, strict=True)
        ],
    }
    write_text(outputs.listing, json.dumps(listing, ensure_ascii=False, indent=1) + "\n")
    print(f"{outputs.mix}  {samples / sample_rate:.2f} s")


def _listed(source: Source, placed: Placed, stem: Path, gain: float) -> dict[str, object]:
    """What was mixed of a layer: where it lies, and by how much its sound was multiplied in all."""
    row, left_and_right = source.layer.row, [gain * value for value in placed.gains]
    return {
        "name": source.layer.name,
        "stem": f"{stem.parent.name}/{stem.name}",
        **({} if row.file is None else {"file": row.file}),
        **source.record,
        **({} if source.licence is None else {"licence": source.licence}),
        "start": row.start,
        "offset": placed.offset,
        "samples": placed.sound.shape[1],
        "level": row.level,
        "pan": row.pan,
        "gains": left_and_right,
        "fade_in": row.fade_in,
        "fade_out": row.fade_out,
    }

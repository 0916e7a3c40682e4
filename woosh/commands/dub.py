"""`woosh dub`: a soundtrack that follows the picture of a video."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from woosh import audio, catalogue
from woosh.commands.assets import add_storing_options, plan_storing
from woosh.commands.delivery import Silences
from woosh.commands.finishing import (
    add_finishing_options,
    described,
    finishing_of,
    make_ready,
)
from woosh.commands.options import (
    add_best_of_option,
    add_model_options,
    add_request_options,
    check_drawn,
    explain,
    number,
    seeds_of,
)
from woosh.commands.outputs import Target, plan_output
from woosh.commands.sources import load_judge_for
from woosh.generation.request import LARGEST_GUIDANCE, Request, clean_text
from woosh.progress import progress_on_terminals
from woosh.studio.finishing import Ready, check_record
from woosh.studio.takes import draw_take
from woosh.video import WATCHED_RATE, Video, open_video, pictures_at
from woosh.video.muxing import (
    CEILING,
    ENCODERS,
    SOUND_CODECS,
    Soundtrack,
    check_output,
    left_behind,
    write_soundtrack,
)

if TYPE_CHECKING:
    from torch import Tensor

    from woosh.studio.choosing import Judge, Wish

EXAMPLES = """\
examples:
  woosh dub clip.mp4                                 writes clip-dubbed.mp4
  woosh dub clip.mp4 -o with-sound.mp4 --prompt "footsteps on gravel" --seed 7
  woosh dub clip.mov -n 4 -o takes/                  four takes, numbered
  woosh dub clip.mp4 --mix -6 -o mixed.mp4           under it, the clip's own sound stays
  woosh dub film.mkv --start 61.5 --seconds 8 -o scene.mkv --codec flac
  woosh dub clip.mp4 -o sound.wav                    the sound alone
"""


class Seen(NamedTuple):
    """What is seen of a video: features (K, V), and moments in seconds at which something begins, if the watcher tells."""

    features: Tensor
    moments: list[float] | None


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make a sound that follows the picture of a video. The picture is copied as it is.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("video", type=Path, metavar="VIDEO", help="a video file, silent or not")
    add(
        "-o",
        "--output",
        metavar="FILE|DIR",
        help=f"a video ({', '.join(SOUND_CODECS)}), a sound ({', '.join('.' + name for name in audio.FORMATS)}) "
        "for the sound alone, or a folder; default: this folder, VIDEO-dubbed. A file that you name is overwritten; "
        "names made here never overwrite anything",
    )
    add("--prompt", metavar="TEXT", help="what to hear (default: what the picture says)")
    add(
        "--mix",
        type=number(-60, 24),
        metavar="DB",
        help="keep the video's own sound and add the new one with this gain, from -60 to 24 "
        "(default: replace it)",
    )
    add(
        "--start",
        type=number(0),
        default=0.0,
        metavar="S",
        help="where in the video the sound begins (default 0)",
    )
    add(
        "--seconds",
        type=number(0, open_low=True),
        metavar="S",
        help="how much of it gets a sound (default: to its end), up to 600",
    )
    add(
        "--codec",
        choices=tuple(ENCODERS),
        help="of the sound in the video (default: aac, in .webm opus)",
    )
    add_request_options(parser)
    add_best_of_option(parser)
    add(
        "--video-guidance",
        type=number(0, LARGEST_GUIDANCE),
        metavar="G",
        help="how closely to follow the picture; --guidance is then of the words alone "
        "(default: --guidance is of both; not with few-step models)",
    )
    add_model_options(parser, catalogue.DEFAULT_VIDEO_MODEL)
    add_finishing_options(parser, trims=False)
    add_storing_options(parser)
    add(
        "--watcher",
        metavar="FILE|DIR",
        help="what sees the video: Synchformer's published weights for released models (default: "
        "the network in the model's folder)",
    )


def run(arguments: argparse.Namespace) -> None:
    """`woosh dub`: check, watch, then generate and write take by take."""
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    watcher = _find_watcher(arguments, info)
    video = open_video(arguments.video)
    seconds = _check_times(video, arguments)
    target = _plan(video, arguments)
    assets = None
    if target.file_format in audio.FORMATS:
        assets = plan_storing(arguments, target)
    else:
        _check_not_stored(arguments, target.file_format)
        _tell_what_is_left(video, f".{target.file_format}", arguments.mix is not None)
    check_drawn(arguments.count, arguments.best_of)
    seeds = seeds_of(arguments, arguments.count, arguments.best_of)
    requests = [_request(seed, seconds, arguments) for seed in seeds]
    source = {"video": video.path.name, "start": arguments.start}
    records = [source | request.record(info.name) for request in requests]
    for request, record in zip(requests, records, strict=True):
        request.check(info)
        check_record(record)
    ceiling = audio.CEILINGS.get(target.file_format, CEILING)
    finishing = finishing_of(arguments, None, ceiling)

    seen = _watch(watcher, info, video, arguments, seconds)

    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record

    judge = load_judge_for(arguments.best_of)
    choose = None
    if judge is not None:
        wish = _wish(judge, str(requests[0].prompt), seen)
        choose = judge.chooser(wish, info.sample_rate)
    sampler = load_model(info, arguments.device, arguments.dtype)
    records = [
        full_record(request, info, sampler) | record
        for request, record in zip(requests, records, strict=True)
    ]
    target.folder.mkdir(exist_ok=True)
    silences = Silences()
    for index, (request, record) in enumerate(zip(requests, records, strict=True)):
        drawn = replace(request, video=seen.features, sounds_per_prompt=arguments.best_of)
        with silences.kept():
            take = draw_take(sampler, drawn, choose=choose)
            ready = make_ready(take, finishing, info.sample_rate, video.path.name)
            with target.claim(str(request.prompt), index, arguments.count) as path:
                found = record | {"seed": take.seed} | ready.record
                if assets is None:
                    _write(path, ready, video, arguments, info, found)
                else:
                    assets.write(path, ready.audio, info.sample_rate, found)
            print(described(path, ready, info.sample_rate, take.seed), flush=True)
    silences.raise_any()


def _wish(judge: Judge, prompt: str, seen: Seen) -> Wish:
    """What the takes should be like: the prompt, where there is one, and what begins in the picture, where that is known."""
    wish = replace(judge.wish_of_words(prompt), moments=seen.moments)
    if wish.empty:
        raise ValueError(
            "--best-of has nothing to choose by: say what to hear with --prompt, since what watches tells no moments"
        )
    return wish


def _check_not_stored(arguments: argparse.Namespace, container: str) -> None:
    """Raise ValueError for options of sound files: in a video, the codec decides how the sound is stored."""
    for name in ("depth", "rate", "sign"):
        if getattr(arguments, name):
            raise ValueError(
                f"--{name} is of sound files, and .{container} is a video: name a sound with -o, such as sound.wav"
            )


def _tell_what_is_left(video: Video, container: str, mix: bool) -> None:
    lost = left_behind(video, container, mix)
    if lost:
        print(
            f"woosh: note: {video.path.name} is copied without {', '.join(lost)}", file=sys.stderr
        )


def _request(seed: int, seconds: float, arguments: argparse.Namespace) -> Request:
    """What is asked for, until the video has been watched."""
    prompt, negative = arguments.prompt, arguments.negative
    return Request(
        prompt="" if prompt is None else clean_text(prompt, "prompt"),
        negative_prompt=None if negative is None else clean_text(negative, "negative prompt"),
        seconds=seconds,
        steps=arguments.steps,
        guidance_scale=arguments.guidance,
        seed=seed,
        video_guidance_scale=arguments.video_guidance,
    )


def _find_watcher(arguments: argparse.Namespace, info: catalogue.ModelInfo) -> str | Path:
    """Where the network that watches lies; ValueError for a model that does not see, or without such a network."""
    if info.video_channels is None:
        raise ValueError(
            f"{info.name} makes sound from words alone: take --model {catalogue.DEFAULT_VIDEO_MODEL}"
        )
    watcher = arguments.watcher or info.visual
    if watcher is None:
        raise ValueError(
            f"{info.name} has no network that watches in its folder: name Synchformer's published "
            "weights with --watcher"
        )
    return watcher


def _check_times(video: Video, arguments: argparse.Namespace) -> float:
    """How many seconds get a sound."""
    seconds = video.seconds - arguments.start
    if arguments.seconds is not None:
        seconds = min(seconds, arguments.seconds)
    if seconds > catalogue.LONGEST_SECONDS:
        raise ValueError(
            f"{seconds:.0f} s are too long: up to {catalogue.LONGEST_SECONDS:g} s are made at a time, "
            "name a part with --start and --seconds"
        )
    pictures_at(video, WATCHED_RATE, arguments.start, arguments.seconds)
    return seconds


def _plan(video: Video, arguments: argparse.Namespace) -> Target:
    """Where the takes go, which must be able to hold the picture and the sound."""
    container = video.path.suffix.lower()
    target = plan_output(
        arguments.output,
        None,
        arguments.count,
        f"{video.path.stem}-dubbed",
        container.removeprefix(".") if container in SOUND_CODECS else "mkv",
        _format_of,
    )
    if target.file_format in audio.FORMATS:
        if arguments.mix is not None or arguments.codec is not None:
            raise ValueError(
                f".{target.file_format} holds the new sound alone: leave out --mix and --codec"
            )
    else:
        example = target.file or target.folder / f"{target.stem}.{target.file_format}"
        check_output(video, example, arguments.codec, arguments.mix is not None)
    return target


def _format_of(path: Path) -> str:
    extension = path.suffix.lower().removeprefix(".")
    if f".{extension}" not in SOUND_CODECS and extension not in audio.FORMATS:
        known = ", ".join([*SOUND_CODECS, *(f".{name}" for name in audio.FORMATS)])
        raise ValueError(f"cannot write {path.name!r}: its extension must be one of {known}")
    return extension


def _watch(
    place: str | Path,
    info: catalogue.ModelInfo,
    video: Video,
    arguments: argparse.Namespace,
    seconds: float,
) -> Seen:
    """What is seen in the part that gets a sound."""
    from woosh.generation.loading import choose_device

    device = choose_device(arguments.device)
    from woosh.video.watching import load_watcher, moments_seen, watch_video

    watcher = load_watcher(place, device, info.video_channels)
    progress = partial(progress_on_terminals, title="watching")
    features = watch_video(watcher, video, arguments.start, seconds, progress)
    return Seen(features, moments_seen(watcher, features))


def _write(
    path: Path,
    ready: Ready,
    video: Video,
    arguments: argparse.Namespace,
    info: catalogue.ModelInfo,
    record: dict[str, Any],
) -> None:
    """The video with its sound."""
    soundtrack = Soundtrack(ready.audio, info.sample_rate, arguments.start, arguments.mix)
    write_soundtrack(video, soundtrack, path, arguments.codec, record)

"""`woosh loop`: sounds whose end goes over into their beginning."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from woosh import audio, catalogue
from woosh.audio.finishing import LOUDNESS
from woosh.commands.delivery import Silences
from woosh.commands.finishing import add_stereo_option
from woosh.commands.options import explain, number, seeds_of
from woosh.commands.revisions import (
    add_revision_options,
    plan_revisions,
    request_for,
    told_prompt,
)
from woosh.generation.request import clean_text
from woosh.studio.finishing import check_record
from woosh.studio.originals import read_original, record_of
from woosh.studio.takes import Take

if TYPE_CHECKING:
    from woosh.studio.loop import Loop, Stretch

DEFAULT_SECONDS = 5.0
EXAMPLES = """\
examples:
  woosh loop "wind in trees" --seconds 20 -o wind.wav
  woosh loop "an engine running" --seconds 3 -n 4 -o loops/
  woosh loop rain.wav                                   the best stretch of a recording
  woosh loop rain.wav --seconds 4.5 -o rain-loop.wav
"""


def fill(parser: argparse.ArgumentParser) -> None:
    """Give the command's parser what it takes."""
    explain(
        parser,
        run,
        description="Make a loop from words, or of a sound. Its length is exact to the sample. From words everything is "
        "made on a circle; of a sound the stretch is taken whose ends are most alike, and its ends are faded into each "
        "other or what is around its seam is made anew, whichever is heard less. What the seam does is told beside what "
        "the sound does by itself: in brackets the 99th percentile inside of it.",
        examples=EXAMPLES,
    )
    add = parser.add_argument
    add("source", metavar="PROMPT|FILE", help="what to hear, or a sound")
    add(
        "--seconds",
        type=number(0.5),
        metavar="S",
        help="length of the loop, from 0.5 to 600 (default 5; of a sound the longest good stretch)",
    )
    add(
        "--prompt",
        metavar="TEXT",
        help="what to hear where the seam of a sound is made anew (default: the prompt that the file names, if any)",
    )
    add_revision_options(parser, f"{LOUDNESS:g} from words, of a sound its own")
    add_stereo_option(parser)


def run(arguments: argparse.Namespace) -> None:
    """`woosh loop`: of a sound, or from words."""
    source = Path(arguments.source)
    if source.is_file() or source.suffix.lower() in audio.SUFFIXES:
        _of_file(source, arguments)
    else:
        _from_words(arguments)


def _from_words(arguments: argparse.Namespace) -> None:
    """Loops of a prompt, one after the other."""
    if arguments.prompt is not None:
        raise ValueError("--prompt is for the seam of a sound: the prompt is said already")
    prompt = clean_text(arguments.source, "prompt")
    seconds = DEFAULT_SECONDS if arguments.seconds is None else arguments.seconds
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    seeds = seeds_of(arguments, arguments.count)
    requests = [request_for(prompt, seconds, seed, arguments, info) for seed in seeds]
    records = [
        audio.derived_record(request.record(info.name), "loop", loop="circle")
        for request in requests
    ]
    for record in records:
        check_record(record)
    delivery = plan_revisions(arguments, len(seeds), None, loop=True, loudness=LOUDNESS)

    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record
    from woosh.studio.loop import draw_loop

    sampler = load_model(info, arguments.device, arguments.dtype)
    silences = Silences()
    for index, (request, asked) in enumerate(zip(requests, records, strict=True)):
        record = full_record(request, info, sampler) | asked
        with silences.kept():
            loop, take = draw_loop(sampler, request)
            delivery.deliver(take, sampler.sample_rate, record, index)
            _tell_seam(loop)
    silences.raise_any()


def _of_file(source: Path, arguments: argparse.Namespace) -> None:
    """The loop of a sound; the model is loaded only where fading alone is heard."""
    if arguments.count != 1:
        raise ValueError("a sound gives one loop: leave out --count")
    info = catalogue.describe_model(catalogue.find_model(arguments.model))
    original = read_original(source)
    if arguments.stereo and len(original.audio) > 1:
        raise ValueError(f"{source} has {len(original.audio)} channels already: leave out --stereo")
    (seed,) = seeds_of(arguments, 1)
    delivery = plan_revisions(arguments, 1, f"{source.stem}-loop", loop=True)
    request_for("", original.seconds, seed, arguments, info)

    from woosh.studio.loop import NEW_SEAM, close_loop, renew_seam

    facts = {"looped": original.path.name}
    # Of a sound whose ends are faded into each other, nothing is made by a model.
    records = {"crossfade": audio.derived_record(audio.kept_record(source), "loop", **facts)}
    check_record(records["crossfade"])

    def renew(stretch: Stretch) -> Loop:
        from woosh.generation.loading import load_model
        from woosh.generation.records import full_record

        prompt = told_prompt(original.path, arguments.prompt)
        request = request_for(prompt, original.seconds, seed, arguments, info)
        asked = record_of(original.path, "loop", request, info, **facts)
        sampler = load_model(info, arguments.device, arguments.dtype)
        records[NEW_SEAM] = full_record(request, info, sampler) | asked
        return renew_seam(sampler, original.audio, original.sample_rate, request, stretch)

    loop = close_loop(original.audio, original.sample_rate, renew, arguments.seconds)
    record = {**records[loop.way], "loop": loop.way}
    if arguments.sign and "model" not in record:
        raise ValueError(
            f"--sign says that a model made a sound, and none made {source} or its seam: leave it out"
        )
    take = Take(loop.audio, int(record.get("seed", seed)))
    delivery.deliver(take, original.sample_rate, record, 0)
    _tell_seam(loop)


def _tell_seam(loop: Loop) -> None:
    """Say whether the seam of a loop is heard."""
    heard = "is heard" if loop.error.heard else "is not heard"
    print(f"  seam ({loop.way}) {heard}: {loop.error}", flush=True)

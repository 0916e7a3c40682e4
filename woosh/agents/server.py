"""The tools over the Model Context Protocol, with progress, cancellation, and one line where something cannot be done.

The standard output carries the protocol alone: the SDK keeps it to itself while it serves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

from woosh import __version__
from woosh.agents.answers import Heard, Known, Matches, Sounds
from woosh.agents.tools import Order, Tools
from woosh.command_line import missing_extra
from woosh.outside_files import printable
from woosh.studio.places import Region
from woosh.studio.workshop import Watch

try:
    from anyio import CapacityLimiter, from_thread, to_thread
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations
    from pydantic import Field
except ImportError as error:
    raise missing_extra("the server for agents needs mcp", "mcp") from error

INSTRUCTIONS = """\
Sound effects made on this machine. Call `models` first: it tells how long and how many sounds may be, where files are written
and which folders are read. A prompt is one short English phrase, as a label of a recording: "a dog barking", "heavy rain on
a roof", "a hit on metal". One source in one sound works better than a scene. Ask for about the length that the sound has in
life. Make several takes and choose: `tag` tells what is heard in a file. The same prompt, seed and seconds give the same sound.
"""
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)

Prompt = Annotated[str, Field(description="what to hear, in one short English phrase")]
Words = Annotated[
    str | None, Field(description="what to hear; left out, what the file says it was made from")
]
File = Annotated[str, Field(description="a file below one of the folders that `models` names")]
Count = Annotated[int, Field(description="how many takes, with seeds that follow each other")]
Seed = Annotated[
    int | None,
    Field(description="of the first take: the same gives the same sound; left out, random"),
]
Format = Annotated[str, Field(description="wav, flac, ogg, opus or mp3")]
Name = Annotated[
    str | None,
    Field(description="of the new file, without folder and extension; nothing is ever overwritten"),
]
Answer = TypeVar("Answer")


def build_server(tools: Tools) -> MCPServer:
    """The server of some tools. One call computes at a time; those that wait may be cancelled as well."""
    server: MCPServer = MCPServer(
        "woosh", title="Woosh", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING"
    )
    desk = Desk(CapacityLimiter(1))
    _add_making(server, tools, desk)
    _add_changing(server, tools, desk)
    _add_hearing(server, tools, desk)
    return server


class Desk:
    """Where calls are worked on, one after the other, beside the server's own thread."""

    def __init__(self, limiter: CapacityLimiter) -> None:
        self._limiter = limiter

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """The answer of a call.

        Raises:
            ToolError: what the caller did wrong, or what the machine cannot do, in one line.
        """
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        except (
            ValueError,
            OSError,
            RuntimeError,
            MemoryError,
            ImportError,
            ArithmeticError,
        ) as error:
            line = printable(" ".join(str(error).split()))
            raise ToolError(line or type(error).__name__) from error

    async def watched(
        self, context: Context, sounds: int, work: Callable[[Watch], Answer]
    ) -> Answer:
        """The answer of a call whose caller is told of each step, and may cancel it at any."""

        def tell(made: int, share: float) -> None:
            from_thread.check_cancelled()
            message = f"sound {made + 1} of {sounds}"
            from_thread.run(context.report_progress, made + share, float(sounds), message)

        return await self.run(partial(work, Watch(tell, threading.Event())))


def _add_making(server: MCPServer, tools: Tools, desk: Desk) -> None:
    """Tools that make sounds from words and videos."""

    @server.tool(title="Sounds from words", annotations=ADDS, structured_output=True)
    async def generate(
        context: Context,
        prompt: Prompt,
        seconds: Annotated[
            float, Field(description="length to make; silence at the ends is cut off")
        ] = 5.0,
        count: Count = 1,
        seed: Seed = None,
        negative: Annotated[
            str | None, Field(description="what not to hear; few-step models take none")
        ] = None,
        file_format: Format = "wav",
        name: Name = None,
    ) -> Sounds:
        """Make sound effects from words: trimmed, levelled to -23 LUFS, with a record of how they were made."""
        order = Order(count, seed, file_format, name)
        work = partial(tools.generate, prompt, seconds, negative, order)
        return await desk.watched(context, count, work)

    @server.tool(title="Loops", annotations=ADDS, structured_output=True)
    async def loop(
        context: Context,
        prompt: Words = None,
        path: Annotated[
            str | None, Field(description="a sound to cut a loop out of, instead of making one")
        ] = None,
        seconds: Annotated[
            float | None, Field(description="of the loop; default 5, of a sound the best stretch")
        ] = None,
        count: Count = 1,
        seed: Seed = None,
        file_format: Format = "wav",
        name: Name = None,
    ) -> Sounds:
        """Make a loop that plays around without a seam, from words (prompt alone) or of a sound (path)."""
        order = Order(count, seed, file_format, name)
        if path is not None:
            work = partial(tools.loop_of_file, path, seconds, prompt, order)
        else:
            work = partial(
                tools.loop_of_words, prompt or "", 5.0 if seconds is None else seconds, order
            )
        return await desk.watched(context, count, work)

    @server.tool(title="Sound for a video", annotations=ADDS, structured_output=True)
    async def dub(
        context: Context,
        path: File,
        prompt: Annotated[str | None, Field(description="what the picture does not say")] = None,
        mix: Annotated[
            float | None,
            Field(description="keeps the video's own sound; gain of the new one over it, in dB"),
        ] = None,
        count: Count = 1,
        seed: Seed = None,
        name: Name = None,
    ) -> Sounds:
        """Make a sound that follows the picture of a video. The new file is the video with it; the picture is copied."""
        work = partial(tools.dub, path, prompt, mix, Order(count, seed, name=name))
        return await desk.watched(context, count, work)


def _add_changing(server: MCPServer, tools: Tools, desk: Desk) -> None:
    """Tools that make sounds of sounds."""

    @server.tool(title="Variations of a sound", annotations=ADDS, structured_output=True)
    async def vary(
        context: Context,
        path: File,
        similarity: Annotated[
            float, Field(description="from 0, another sound, to 1, the sound itself")
        ] = 0.7,
        prompt: Words = None,
        count: Count = 1,
        seed: Seed = None,
        file_format: Format = "wav",
        name: Name = None,
    ) -> Sounds:
        """Make variations of a sound, as long and as loud."""
        order = Order(count, seed, file_format, name)
        return await desk.watched(
            context, count, partial(tools.vary, path, similarity, prompt, order)
        )

    @server.tool(title="A part of a sound made anew", annotations=ADDS, structured_output=True)
    async def edit(
        context: Context,
        path: File,
        prompt: Prompt,
        start: Annotated[float | None, Field(description="second at which the part begins")] = None,
        stop: Annotated[float | None, Field(description="second at which it ends")] = None,
        strength: Annotated[
            float | None,
            Field(
                description="how much of what was there goes, from 0 to 1; needed without start and stop, which changes all"
            ),
        ] = None,
        count: Count = 1,
        seed: Seed = None,
        file_format: Format = "wav",
        name: Name = None,
    ) -> Sounds:
        """Make a part of a sound anew so that it fits what is around it, in a new file. The rest stays bit for bit."""
        order, region = Order(count, seed, file_format, name), _region(start, stop)
        work = partial(tools.edit, path, prompt, region, strength, order)
        return await desk.watched(context, count, work)


def _add_hearing(server: MCPServer, tools: Tools, desk: Desk) -> None:
    """Tools that only tell."""

    @server.tool(title="Sounds of the library", annotations=READS, structured_output=True)
    async def search(
        text: Annotated[str | None, Field(description="what is looked for, in words")] = None,
        path: Annotated[
            str | None, Field(description="a sound to look for others like it, instead")
        ] = None,
        count: Annotated[int, Field(description="how many")] = 10,
    ) -> Matches:
        """Find sounds of the user's own library by words or by example, the best first."""
        return await desk.run(partial(tools.search, text, path, count))

    @server.tool(title="What is heard in a file", annotations=READS, structured_output=True)
    async def tag(path: File, count: Annotated[int, Field(description="labels")] = 5) -> Heard:
        """Name what is heard in the first minute of a file: labels of AudioSet with probabilities, and a category of UCS."""
        return await desk.run(partial(tools.tag, path, count))

    @server.tool(title="Models, folders and limits", annotations=READS, structured_output=True)
    async def models() -> Known:
        """Tell which models there are, where files are written and read, and how long and how many sounds may be."""
        return tools.models()


def _region(start: float | None, stop: float | None) -> Region | None:
    """The part that a call names, if it names one.

    Raises:
        ToolError: only one of its ends is named.
    """
    if start is None and stop is None:
        return None
    if start is None or stop is None:
        raise ToolError(
            "a part has a start and a stop: name both, or none to change all of the sound"
        )
    return Region(start, stop)


def serve(tools: Tools) -> None:
    """Serve over the standard input and output until the input ends."""
    build_server(tools).run("stdio")

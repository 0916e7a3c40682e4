"""What is asked of a server and what it answers, in types that server and workers share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from woosh.command_line import missing_extra

try:
    from pydantic import AfterValidator, BaseModel, ConfigDict, Field
except ImportError as error:
    raise missing_extra("the server needs pydantic", "serve") from error

from woosh.catalogue import LONGEST_SECONDS
from woosh.generation.request import LARGEST_GUIDANCE, clean_text
from woosh.studio.seeds import LARGEST_SEED

LONGEST_PROMPT = 1000  # characters
MOST_SOUNDS = 16  # of a job
MOST_PARTS = 100  # of a sound that is edited

Text = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_PROMPT),
    AfterValidator(lambda text: clean_text(text, "text")),
]
Seconds = Annotated[float, Field(gt=0, le=LONGEST_SECONDS, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False)]
Guidance = Annotated[float, Field(ge=0, le=LARGEST_GUIDANCE, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
SoundFormat = Literal["wav", "flac", "ogg", "opus", "mp3"]
VideoFormat = Literal["mp4", "mov", "mkv", "webm"]
State = Literal["queued", "running", "finished", "failed", "cancelled"]


class Work(BaseModel):
    """What is asked for; a field that there is not is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Drawn(Work):
    """What everything takes that a model draws."""

    negative_prompt: Annotated[
        Text | None, Field(description="what not to hear (not for few-step models)")
    ] = None
    steps: Annotated[
        int | None, Field(ge=1, le=1000, description="of the solver; default: the model's")
    ] = None
    guidance: Annotated[
        Guidance | None,
        Field(description="how closely to follow what is asked for, 1: none; default: the model's"),
    ] = None
    seed: Annotated[
        int | None, Field(ge=0, le=LARGEST_SEED, description="default: drawn, and told")
    ] = None
    count: Annotated[
        int, Field(ge=1, le=MOST_SOUNDS, description="takes, with seeds that follow each other")
    ] = 1
    model: Annotated[
        str | None, Field(max_length=200, description="a name from /v1/models; default: the first")
    ] = None
    loudness: Annotated[
        float | None, Field(ge=-70, le=0, allow_inf_nan=False, description="in LUFS")
    ] = None

    rate: Annotated[
        Literal[44100, 48000, 96000] | None, Field(description="in Hz; default: the sound's own")
    ] = None
    depth: Annotated[
        Literal[16, 24, 32] | None, Field(description="bits of a sample, of wav and flac")
    ] = None


class Generate(Drawn):
    """Sounds from words."""

    prompt: Annotated[Text, Field(description="what to hear")]
    seconds: Seconds = 5.0
    keep_length: Annotated[
        bool, Field(description="exactly so long; else silence at the ends is cut off")
    ] = False
    stereo: bool = False
    format: SoundFormat = "wav"


class Edit(Drawn):
    """Parts of a sound made anew, or all of it changed."""

    prompt: Annotated[Text, Field(description="what to hear there")]
    start: Annotated[
        list[Moment], Field(max_length=MOST_PARTS, description="where parts begin, in seconds")
    ] = []
    end: Annotated[list[Moment], Field(max_length=MOST_PARTS, description="where they end")] = []
    strength: Annotated[Share | None, Field(description="how much of what was there goes")] = None
    format: SoundFormat = "wav"


class Extend(Drawn):
    """A sound made longer."""

    seconds: Annotated[Seconds, Field(description="of the result")]
    prompt: Text | None = None
    before: Annotated[bool, Field(description="put what is new in front of the sound")] = False
    format: SoundFormat = "wav"


class Loop(Drawn):
    """A loop from words, or of a sound."""

    prompt: Text | None = None
    seconds: Annotated[float, Field(ge=0.5, le=LONGEST_SECONDS, allow_inf_nan=False)] | None = None
    stereo: bool = False
    format: SoundFormat = "wav"


class Vary(Drawn):
    """Cousins of a sound."""

    similarity: Annotated[Share, Field(description="0: another sound, 1: the sound itself")] = 0.7
    prompt: Text | None = None
    stereo: bool = False
    format: SoundFormat = "wav"


class Dub(Drawn):
    """The sound of a video."""

    prompt: Text | None = None
    start: Annotated[float, Field(ge=0, le=172_800, allow_inf_nan=False)] = 0.0
    seconds: Seconds | None = None
    mix: Annotated[
        float | None,
        Field(ge=-60, le=24, allow_inf_nan=False, description="dB; the video's own sound stays"),
    ] = None
    video_guidance: Guidance | None = None
    format: Annotated[
        VideoFormat | SoundFormat | None, Field(description="default: the video's own")
    ] = None


class Tag(Work):
    """What is heard in a sound."""

    k: Annotated[int, Field(ge=1, le=1000, description="labels")] = 5
    timeline: Annotated[bool, Field(description="also the labels of every second")] = False


class Search(Work):
    """Sounds of the server's index by words or by example."""

    text: Text | None = None
    k: Annotated[int, Field(ge=1, le=1000, description="sounds")] = 10


class SoundGeneration(BaseModel):
    """The request of a well-known commercial service; what it has besides is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    text: Text
    loop: bool = False
    duration_seconds: Annotated[float, Field(ge=0.5, le=30, allow_inf_nan=False)] | None = None
    prompt_influence: Share | None = None


class CodedSoundGeneration(SoundGeneration):
    """It, and how the sound is coded, which its query says."""

    format: Literal["mp3", "opus"] = "mp3"
    rate: Literal[44100, 48000] = 44100


KINDS: dict[str, type[BaseModel]] = {
    "generate": Generate,
    "edit": Edit,
    "extend": Extend,
    "loop": Loop,
    "vary": Vary,
    "dub": Dub,
    "tag": Tag,
    "search": Search,
    "sound-generation": CodedSoundGeneration,
}


class Sound(BaseModel):
    """A file that was made."""

    url: str
    name: str
    media_type: str
    seconds: float
    loudness: float | None = None
    seed: int | None = None
    record: dict[str, Any] = {}


class JobAnswer(BaseModel):
    """A job."""

    id: str
    kind: str
    state: State
    progress: float
    created: float
    seed: int | None
    error: str | None
    sounds: list[Sound]
    found: dict[str, Any] | None


class ModelAnswer(BaseModel):
    """A model that may be asked for."""

    name: str
    sample_rate: int
    longest: float
    few_step: bool
    video: bool
    parameters: int
    licence: str


class ModelsAnswer(BaseModel):
    """All of them."""

    default: str
    models: list[ModelAnswer]


class HealthAnswer(BaseModel):
    """Whether the server can work."""

    status: Literal["starting", "ready"]
    version: str
    workers: int
    waiting: int
    running: int


class Refusal(BaseModel):
    """Why a request is refused, in one line."""

    detail: str

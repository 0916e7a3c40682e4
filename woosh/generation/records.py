"""What a file keeps of how its sound was made, once the model that makes it is loaded and its own defaults are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from woosh.generation.request import DEFAULT_SOLVER, Request

if TYPE_CHECKING:
    from woosh.catalogue import ModelInfo
    from woosh.generation.sampling import Sampler


def full_record(
    request: Request, info: ModelInfo, sampler: Sampler
) -> dict[str, str | int | float]:
    """The record of a request's one sound: what was asked for, and what the model chose where nothing was asked.

    Args:
        request: of one sound, with a seed.
        info: of the model's folder.
        sampler: of the model.

    Raises:
        ValueError: as `Request.record`.
    """
    guidance = request.guidance_scale
    facts: dict[str, str | int | float] = {
        "guidance": sampler.guidance_scale if guidance is None else guidance,
        "seconds": request.seconds,
        "weights_licence": info.licence,
    }
    if request.solver != DEFAULT_SOLVER:
        facts["solver"] = request.solver
    elif request.times is None:
        facts["steps"] = request.steps or sampler.steps
    return request.record(info.name) | facts

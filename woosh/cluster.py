"""Work spread over the machines of a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from woosh.command_line import missing_extra

try:
    import ray
    from ray.exceptions import RayActorError, RayTaskError
except ImportError as error:
    raise missing_extra("work on many machines needs ray", "cluster") from error

AHEAD = 4  # items for each worker that may be finished before their turn
RETRIES = 3  # of an item whose workers end

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Worker(Generic[Item, Result]):
    """An actor: it loads what it needs once."""

    def __init__(self, load: Callable[[], Callable[[Item], Result]]) -> None:
        self._work = load()

    def work(self, item: Item) -> Result:
        return self._work(item)


def spread(
    load: Callable[[], Callable[[Item], Result]], items: Iterable[Item], workers: int | None = None
) -> Iterator[Result | Exception]:
    """What becomes of each item, in their order, made by workers on all machines of a cluster.

    The cluster is the one that the environment's RAY_ADDRESS names, or this machine. A worker that ends is started again, and
    its item goes to it again.

    Args:
        load: gives a worker's function; called once by each of them.
        items: that are worked on, taken as workers become free.
        workers: their number; None is one for each accelerator of the cluster, or for each core where there are none.

    Yields:
        What the function returned, or the error that it raised. `RuntimeError` stands for an item over which workers ended
        again and again.
    """
    if not ray.is_initialized():
        # Without an address Ray would join whatever cluster ran last on this machine, or wait for one that has ended.
        address = os.environ.get("RAY_ADDRESS") or "local"
        level = logging.WARNING
        ray.init(address, log_to_driver=False, include_dashboard=False, logging_level=level)
    accelerators = int(ray.cluster_resources().get("GPU", 0))
    cores = int(ray.cluster_resources().get("CPU", 1))
    count = workers or accelerators or cores
    share = min(1.0, (accelerators or cores) / count)
    needs: dict[str, Any] = {"num_gpus" if accelerators else "num_cpus": share}
    actor = ray.remote(max_restarts=-1, max_task_retries=RETRIES, **needs)(_Worker)
    idle = [actor.remote(load) for _ in range(count)]
    try:
        yield from _in_order(idle, items)
    finally:
        del idle  # nobody refers to the workers any more, and Ray ends them


def _in_order(workers: list[Any], items: Iterable[Item]) -> Iterator[Any]:
    """Results in the order of the items; a worker that is free takes the next one."""
    idle, busy, waiting = deque(workers), {}, deque()
    for item in items:
        if len(waiting) >= AHEAD * len(workers):
            yield _outcome(waiting.popleft())
        if not idle:
            finished, _ = ray.wait(list(busy))
            idle.extend(busy.pop(result) for result in finished)
        worker = idle.popleft()
        result = worker.work.remote(item)
        busy[result] = worker
        waiting.append(result)
    while waiting:
        yield _outcome(waiting.popleft())


def _outcome(result: Any) -> Any:
    """What a worker returned, or why it did not."""
    try:
        return ray.get(result)
    except RayTaskError as error:
        return error.cause if isinstance(error.cause, Exception) else RuntimeError(str(error))
    except RayActorError:
        return RuntimeError(f"{1 + RETRIES} workers ended over it")

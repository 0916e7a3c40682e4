"""The table of jobs: nothing is made twice, nothing is lost, and a worker that lost a job says nothing of it any more."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.serving.postgres import postgresql
from woosh.serving import store as store_module
from woosh.serving.store import (
    FINAL,
    LEASE_SECONDS,
    MOST_ATTEMPTS,
    OPEN,
    Admission,
    FullError,
    Job,
    NewJob,
    OtherRequestError,
    Store,
    new_id,
)


@pytest.fixture(scope="module")
def shared_database() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    return request.getfixturevalue("shared_database")


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """An empty table."""
    store = Store(address)
    store.remove([job.id for job in store.in_states((*OPEN, *FINAL))])
    yield store
    store.close()


def accept(
    store: Store,
    content: str = "",
    cost: float = 10.0,
    key: tuple[str, str] | None = None,
    most_cost: float = 1000.0,
) -> tuple[Job, bool]:
    new = NewJob(new_id(), "generate", "{}", "model", 1, None, content or new_id(), cost)
    return store.accept(new, Admission(most_cost, workers=2, key=key, repeatable=bool(content)))


def at_once(count: int, work: Callable[[int], object]) -> None:
    """Several threads at the same work."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


def test_each_job_is_taken_once(address: str, store: Store) -> None:
    """Two workers that look at the same moment must not make the same sound."""
    jobs = {accept(store)[0].id for _ in range(24)}
    taken: list[str] = []

    def work(number: int) -> None:
        own = Store(address, durable=False)
        while (job := own.claim(f"w{number}")) is not None:
            taken.append(job.id)
        own.close()

    at_once(3, work)
    assert len(taken) == 24 and set(taken) == jobs


@pytest.mark.usefixtures("store")
def test_servers_do_not_fill_the_same_room_nor_make_a_key_twice(address: str) -> None:
    """What several servers admit at the same moment counts for each of them."""
    rooms: list[bool] = []
    keyed: list[tuple[Job, bool]] = []

    def ask(_: int) -> None:
        own = Store(address)
        try:
            accept(own, cost=400.0)
            rooms.append(True)
        except FullError:
            rooms.append(False)
        keyed.append(accept(own, cost=1.0, key=("key", "asked")))
        own.close()

    at_once(4, ask)
    assert sorted(rooms) == [False, False, True, True]
    assert len({job.id for job, _ in keyed}) == 1 and sum(new for _, new in keyed) == 1


def test_jobs_are_taken_in_their_order(store: Store) -> None:
    jobs = [accept(store)[0].id for _ in range(3)]
    assert [store.claim("w").id for _ in jobs] == jobs  # type: ignore[union-attr]
    assert store.claim("w") is None


def test_a_worker_that_lost_its_job_says_nothing_of_it(store: Store) -> None:
    """It may have slept while another one made the sound."""
    job = accept(store)[0].id
    store.claim("first")
    store.release("first", its_fault=True)
    assert store.claim("second").id == job  # type: ignore[union-attr]
    assert not store.tell(job, "first", 0.5) and not store.hold(job, "first")
    assert not store.finish(job, "first", {}) and not store.fail(job, "first", "no", True)
    assert store.finish(job, "second", {"sounds": []})
    assert store.get(job).state == "finished"  # type: ignore[union-attr]


def test_a_lease_runs_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock that all who use the table share, whatever the clocks of their machines say."""
    accept(store)
    job = store.claim("w")
    assert job is not None and job.started is not None and abs(job.started - time.time()) < 60
    assert store.expired() == []
    clock = store_module.now
    monkeypatch.setattr(store_module, "now", lambda engine: clock(engine) + LEASE_SECONDS + 1)
    assert store.expired() == ["w"]


@pytest.mark.parametrize(
    "address", ["mysql://host/jobs", "postgresql://user:secret@host:port/jobs", "jobs.sqlite"]
)
def test_other_databases_are_refused_without_their_passwords(address: str) -> None:
    with pytest.raises(ValueError, match="postgresql://USER@HOST/DATABASE") as refused:
        Store(address)
    assert "secret" not in str(refused.value)


def test_a_job_that_ends_its_workers_ends(store: Store) -> None:
    """One file that crashes a library must not keep a server busy for ever; a server that is stopped is no such thing."""
    job = accept(store)[0].id
    for number in range(3 * MOST_ATTEMPTS):
        store.claim(f"stopped{number}")
        store.release(f"stopped{number}", its_fault=False)
    assert store.get(job).state == "queued"  # type: ignore[union-attr]
    for number in range(MOST_ATTEMPTS):
        assert store.claim(f"died{number}") is not None
        store.release(f"died{number}", its_fault=True)
    ended = store.get(job)
    assert ended is not None and (ended.state, ended.refused) == ("failed", False)
    assert ended.error == "5 workers ended over it"


def test_a_key_makes_one_job(store: Store) -> None:
    first, is_new = accept(store, key=("key", "asked"))
    assert is_new
    assert accept(store, key=("key", "asked")) == (first, False)
    with pytest.raises(OtherRequestError, match="take a new one"):
        accept(store, key=("key", "something else"))
    assert accept(store, key=("other", "asked"))[1]


def test_a_finished_job_answers_the_same_question(store: Store) -> None:
    first = accept(store, content="rain 7")[0].id
    assert accept(store, content="rain 7")[1]  # nothing is finished yet
    store.claim("w")
    store.finish(first, "w", {"sounds": []})
    again, is_new = accept(store, content="rain 7", key=("key", "asked"))
    assert (again.id, is_new) == (first, False)
    assert accept(store, content="rain 7", key=("key", "asked"))[0].id == first


def test_too_much_is_refused_until_something_ends(store: Store) -> None:
    """What does not fit beside others is taken where nothing waits."""
    first = accept(store, cost=900.0)[0].id
    with pytest.raises(FullError) as full:
        accept(store, cost=200.0)
    assert full.value.seconds >= 1
    accept(store, cost=100.0)
    store.cancel(first)
    accept(store, cost=900.0)


def test_what_ended_stays_ended(store: Store) -> None:
    job = accept(store)[0].id
    store.claim("w")
    store.cancel(job)
    assert not store.tell(job, "w", 0.5)
    store.release("w", its_fault=True)
    store.end_overdue(-1.0)
    assert store.get(job).state == "cancelled"  # type: ignore[union-attr]


def test_what_takes_too_long_ends(store: Store) -> None:
    job = accept(store)[0].id
    store.end_overdue(-1.0)  # waiting is not running
    store.claim("w")
    store.end_overdue(60.0)
    assert store.get(job).state == "running"  # type: ignore[union-attr]
    store.end_overdue(-1.0)
    assert store.get(job).error == "it took longer than -1 s"  # type: ignore[union-attr]

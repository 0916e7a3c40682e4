"""Load on a server whose workers are killed every minute, and which is itself killed once.

    python benchmarks/load.py [--clients 64] [--minutes 8] [--workers 1] [--seconds 0.5]
    python benchmarks/load.py --engine ray --jobs postgresql://USER@HOST/EMPTY [--workers 2]

With Ray the workers are replicas of deploy/ray.yaml, and in the place of the server the replica that takes requests in is killed.

Clients ask without a pause, each request with a seed and an idempotency key of its own, one in ten twice at once; whoever loses an
answer asks again with the same key. One client of each process asks once a second for a sound that is made already. Afterwards each
answer is compared, byte for byte, with the file of `woosh generate` for its seed, and the table of jobs with the keys.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import multiprocessing
import os
import queue
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

import psutil
import yaml

from woosh import audio
from woosh.catalogue import describe_model, find_model
from woosh.command_line import Parser, missing_extra, run_to_exit_code
from woosh.serving.store import Store

try:
    import httpx
except ImportError as error:
    sys.exit(f"load: error: {missing_extra('clients need httpx', 'dev')} ({error})")

MODEL = "woosh-tiny-fast"
PROMPT = "a dog barking"
PROCESSES = 2  # of clients
WAIT_SECONDS = 30  # of one request, after which it is sent again
LAST_SECONDS = 240.0  # that open requests have once no new ones are sent
AGAIN_SECONDS = 1.0  # between two requests for a sound that is there
TWICE = 0.1  # of the requests are sent twice at once
TOKEN = secrets.token_hex(16)
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
DEPLOYMENT = Path(__file__).parents[1] / "deploy" / "ray.yaml"


@dataclass(frozen=True)
class Answer:
    """What a client got.

    Attributes:
        seed: that it asked for.
        jobs: that answered, more than one where something was doubled.
        checksum: of the sound; empty where none came.
        seconds: from the first request to the sound.
        tries: requests that it took.
        again: whether the server had made the sound already.
    """

    seed: int
    jobs: tuple[str, ...]
    checksum: str
    seconds: float
    tries: int
    again: bool = False


@dataclass(frozen=True)
class Load:
    """What clients do.

    Attributes:
        address: of the server.
        clients: of this process.
        first_seed: of its seeds.
        until: `time.monotonic` after which no new request begins.
        sound_seconds: of each sound.
        headers: of each request.
    """

    address: str
    clients: int
    first_seed: int
    until: float
    sound_seconds: float
    headers: dict[str, str]


async def ask(
    client: httpx.AsyncClient, load: Load, seed: int, key: str | None = None
) -> tuple[str, str, int]:
    """Job, checksum and number of tries of one sound; its idempotency key is made of the seed unless one is given."""
    asked = {"prompt": PROMPT, "seconds": load.sound_seconds, "seed": seed}
    headers = {"Idempotency-Key": key or f"seed {seed}"}
    tries = 0
    while time.monotonic() < load.until + LAST_SECONDS:
        tries += 1
        try:
            answer = await client.post(
                "/v1/generate", params={"wait": WAIT_SECONDS}, json=asked, headers=headers
            )
        except httpx.TransportError:  # the server was killed
            await asyncio.sleep(0.5)
            continue
        if answer.status_code == 200:
            checksum = hashlib.sha256(answer.content).hexdigest()
            return answer.headers["woosh-job"], checksum, tries
        if answer.status_code == 429:
            await asyncio.sleep(float(answer.headers["retry-after"]))
        elif answer.status_code >= 500:  # what stands in front of a replica that was killed says so
            await asyncio.sleep(0.5)
        elif answer.status_code != 202:
            return "", f"{answer.status_code} {answer.text}", tries
    return "", "", tries


async def run_client(load: Load, number: int, answers: Queue[Answer]) -> None:
    """One client: request after request until the time is over."""
    chance = random.Random(load.first_seed + number)
    async with httpx.AsyncClient(
        base_url=load.address, timeout=WAIT_SECONDS + 30, headers=load.headers
    ) as client:
        for turn in range(10_000):
            if time.monotonic() > load.until:
                return
            seed = load.first_seed + number * 10_000 + turn
            start = time.monotonic()
            times = 2 if chance.random() < TWICE else 1
            found = await asyncio.gather(*(ask(client, load, seed) for _ in range(times)))
            checksums = {checksum for _, checksum, _ in found}
            answers.put(
                Answer(
                    seed,
                    tuple({job for job, _, _ in found}),
                    checksums.pop() if len(checksums) == 1 else "",
                    time.monotonic() - start,
                    sum(tries for _, _, tries in found),
                )
            )


async def run_asker(load: Load, answers: Queue[Answer]) -> None:
    """A client that asks for the same sound every second, from its second time on with a new key."""
    async with httpx.AsyncClient(
        base_url=load.address, timeout=WAIT_SECONDS + 30, headers=load.headers
    ) as client:
        seed = load.first_seed - 1
        _, checksum, _ = await ask(client, load, seed)
        while checksum and time.monotonic() < load.until:
            await asyncio.sleep(AGAIN_SECONDS)
            start = time.monotonic()
            job, checksum, tries = await ask(client, load, seed, secrets.token_hex(8))
            seconds = time.monotonic() - start
            answers.put(Answer(seed, (job,), checksum, seconds, tries, again=True))


def run_clients(load: Load, answers: Queue[Answer]) -> None:
    """The clients of a process."""

    async def run() -> None:
        clients = (run_client(load, number, answers) for number in range(load.clients))
        await asyncio.gather(*clients, run_asker(load, answers))

    asyncio.run(run())


@dataclass
class Server:
    """A server that is killed and started again at the same port."""

    folder: Path
    port: int
    workers: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def jobs(self) -> str:
        """Address of its table of jobs."""
        return f"sqlite:///{self.folder / 'jobs.sqlite'}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        options = ("--port", str(self.port), "--data", str(self.folder))
        model = ("--model", MODEL, "--workers", str(self.workers), "--queue", "1000000")
        words = [sys.executable, "-m", "woosh", "serve", *options, *model]
        environment = {**os.environ, "WOOSH_TOKEN": TOKEN}
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment)
        wait_until_ready(self.port, 1)

    def family(self) -> list[psutil.Process]:
        """The server and its workers."""
        assert self.process is not None
        return [psutil.Process(self.process.pid), *self.makers()]

    def makers(self) -> list[psutil.Process]:
        """The workers."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def end(self) -> None:
        """End it and its workers."""
        self.kill()


@dataclass
class Cluster:
    """A Ray of this machine that serves; its replicas are killed."""

    folder: Path
    port: int
    workers: int
    jobs: str
    process: subprocess.Popen[bytes] | None = None
    serving: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it where it does not run, and wait until it is ready."""
        if self.process is None:
            self.folder.mkdir()
            with socket.create_server(("", 0)) as free:
                port = free.getsockname()[1]
            own = {"WOOSH_TOKEN": TOKEN, "WOOSH_JOBS": self.jobs, "RAY_AUTH_MODE": "disabled"}
            own |= {"RAY_worker_niceness": "0"}
            environment = {**os.environ, **own, "RAY_USAGE_STATS_ENABLED": "0"}
            words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
            words += ["--port", str(port), "--num-cpus", str(self.workers + 1)]
            words += ["--object-store-memory", str(10**8), "--include-dashboard=false"]
            self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment)
            wait_until_listening(port)
            words = [sys.executable, "-m", "ray.serve.scripts", "run", str(self.configuration())]
            environment["RAY_ADDRESS"] = f"127.0.0.1:{port}"
            self.serving = subprocess.Popen(
                words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
            )
        wait_until_ready(self.port, self.workers)

    def configuration(self) -> Path:
        """deploy/ray.yaml for this machine."""
        values = yaml.safe_load(DEPLOYMENT.read_text(encoding="utf-8"))
        values["http_options"] = {"host": "127.0.0.1", "port": self.port}
        (application,) = values["applications"]
        store = str(self.folder / "files")
        application["args"] = {"store": store, "models": [MODEL], "queue": 1e6, "call_cost": 20}
        front, worker = application["deployments"]
        front |= {"num_replicas": 1, "ray_actor_options": {"num_cpus": 0.5}}
        worker["autoscaling_config"] |= {"min_replicas": self.workers, "max_replicas": self.workers}
        path = self.folder / "ray.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    def family(self) -> list[psutil.Process]:
        """All of Ray's processes."""
        assert self.process is not None and self.serving is not None
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True), psutil.Process(self.serving.pid)]

    def makers(self) -> list[psutil.Process]:
        """The replicas that make sounds."""
        return self.replicas("worker")

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """The processes of a deployment."""
        title = f"ServeReplica:woosh:{deployment}"
        return [one for one in self.family() if title in " ".join(one.cmdline())]

    def kill(self) -> None:
        """End the replica that takes requests in; Ray starts another one."""
        for replica in self.replicas("front"):
            replica.kill()

    def end(self) -> None:
        """End all of it."""
        for process in (self.serving, self.process):
            if process is not None:
                process.terminate()
                process.wait(300)  # Ray drains its node for long


def wait_until_ready(port: int, workers: int) -> None:
    """Until so many workers take jobs."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(f"http://127.0.0.1:{port}/v1/health")
            if answer.status_code == 200 and answer.json()["workers"] >= workers:
                return
        time.sleep(0.5)


def wait_until_listening(port: int) -> None:
    """Until somebody listens at a port."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.5)


def disturb(server: Server | Cluster, minutes: float, every: float) -> Iterator[str]:
    """Kill a worker every so many seconds, and the server once at half time; what is said of it, with memory in between."""
    start, killed, restarted, chance = time.monotonic(), 1, False, random.Random(0)
    while (passed := time.monotonic() - start) < 60 * minutes:
        time.sleep(1)
        with contextlib.suppress(psutil.Error):
            yield f"memory {sum(one.memory_info().rss for one in server.family())}"
            workers = server.makers()
            if passed > killed * every and workers:
                chance.choice(workers).kill()
                killed += 1
                yield "worker killed"
        if not restarted and passed > 30 * minutes:
            server.kill()
            server.start()
            restarted = True
            yield "server killed"


def expected(seeds: list[int], seconds: float, folder: Path) -> dict[int, str]:
    """Checksums of the files that `woosh generate` writes for seeds."""
    from woosh.audio.finishing import LOUDNESS
    from woosh.generation.loading import load_model
    from woosh.generation.records import full_record
    from woosh.generation.request import Request
    from woosh.studio.finishing import finished_take, full_finishing
    from woosh.studio.takes import draw_take

    info = describe_model(find_model(MODEL))
    sampler = load_model(info, "cpu", "auto")
    finishing = full_finishing(audio.CEILINGS["wav"], LOUDNESS, audio.Trim())
    found, path = {}, folder / "expected.wav"
    for seed in seeds:
        request = Request(PROMPT, seconds=seconds, seed=seed)
        take = draw_take(sampler, request)
        ready = finished_take(take, finishing, info.sample_rate)
        record = {**full_record(request, info, sampler), "seed": take.seed, **ready.record}
        audio.write_audio(path, ready.audio, info.sample_rate, record)
        found[seed] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def run(arguments: argparse.Namespace) -> None:
    """Start, load, disturb, compare, tell."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "server"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server: Server | Cluster = Server(folder, port, arguments.workers)
        if arguments.engine == "ray":
            if arguments.jobs is None:
                raise ValueError(
                    "--engine ray needs a database: add --jobs postgresql://USER@HOST/EMPTY"
                )
            server = Cluster(folder, port, arguments.workers, arguments.jobs)
        try:
            server.start()
            got, said = load_and_disturb(arguments, server)
        finally:
            server.end()
        jobs = {state: count for state, (count, _) in Store(server.jobs).counts().items()}
        seeds = sorted({one.seed for one in got})
        tell(got, said, jobs, expected(seeds, arguments.seconds, Path(place)))


def load_and_disturb(
    arguments: argparse.Namespace, server: Server | Cluster
) -> tuple[list[Answer], list[str]]:
    """What the clients got, and what was done to the server meanwhile."""
    answers: Queue[Answer] = multiprocessing.get_context("spawn").Queue()
    until = time.monotonic() + 60 * arguments.minutes
    clients = []
    for number in range(PROCESSES):
        load = Load(
            address=f"http://127.0.0.1:{server.port}",
            clients=arguments.clients // PROCESSES,
            first_seed=1 + number * 10_000_000,
            until=until,
            sound_seconds=arguments.seconds,
            headers=HEADERS,
        )
        process = multiprocessing.get_context("spawn").Process(
            target=run_clients, args=(load, answers), daemon=True
        )
        clients.append(process)
        process.start()
    said = list(disturb(server, arguments.minutes, arguments.kill_every))
    got: list[Answer] = []
    while any(client.is_alive() for client in clients) or not answers.empty():
        with contextlib.suppress(queue.Empty):
            got.append(answers.get(timeout=0.5))
    return got, said


def tell(got: list[Answer], said: list[str], jobs: dict[str, int], right: dict[int, str]) -> None:
    """Print what came of it."""
    lost = [one for one in got if len(one.checksum) != 64]
    mixed = [one for one in got if len(one.checksum) == 64 and one.checksum != right[one.seed]]
    doubled = [one for one in got if len(one.jobs) > 1]
    new = [one for one in got if not one.again]
    times = sorted(one.seconds for one in new)
    kept = sorted(one.seconds for one in got if one.again and one.tries == 1)
    memory = [int(line.split()[1]) / 2**20 for line in said if line.startswith("memory")]
    third = max(1, len(memory) // 3)
    print(f"{len(new)} sounds asked for, in {sum(one.tries for one in new)} requests")
    print(f"lost {len(lost)}, doubled {len(doubled)}, mixed up {len(mixed)}; jobs {jobs}")
    print(f"workers killed {said.count('worker killed')}, server {said.count('server killed')}")
    print(
        f"seconds to a sound: p50 {statistics.median(times):.1f}, p95 {times[int(0.95 * len(times))]:.1f}"
    )
    if kept:
        print(
            f"milliseconds to a sound that was made before, {len(kept)} times: "
            f"p50 {1e3 * statistics.median(kept):.0f}, p95 {1e3 * kept[int(0.95 * len(kept))]:.0f}"
        )
    print(
        f"memory of server and workers in MiB: at most {max(memory):.0f}, median of the first third "
        f"{statistics.median(memory[:third]):.0f}, of the last {statistics.median(memory[-third:]):.0f}"
    )
    for one in (*lost, *mixed, *doubled)[:5]:
        print(f"  {one}")


def main() -> int:
    """Run the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a sound")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--jobs", metavar="URL", help="of an empty PostgreSQL database, for ray")
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds")
    return run_to_exit_code("load", lambda: run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())

"""Recipes over two processes on the CPU: killed at any moment and resumed, they end in the same weights.

One test starts them with the launcher, as a user does. It costs three starts of Python for every run, so the others
fork each of the two processes from one that has imported everything: `tests.recipes.prepared_process`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.paths import ROOT
from tests.recipes.toy_recipes import (
    ADVERSARIAL,
    autoencoder_config,
    clap_config,
    distill_config,
    flow_config,
    imitation_config,
    lora_config,
    same,
    tagger_config,
    teach_config,
    text_encoder_config,
    weights,
)
from training import encode_latents, encode_video, train_video_flow, train_visual
from woosh.training.config import load_config, plain_values, replace_fields
from woosh.training.flow.latents import load_latents

LAUNCH = (
    *("-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/cpu.yaml"),
    *("--main_process_port", "0"),
)
# Without the last one, the processes look for accelerators, find none and know nothing of each other.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def write_settings(config: Any) -> Path:
    """The settings of a configuration in a file beside its output."""
    values = plain_values(config)
    path = Path(values["output"]).with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return path


def start(script: str, config: Any) -> subprocess.Popen[str]:
    """Start a recipe over two processes with the launcher."""
    return subprocess.Popen(
        [sys.executable, *LAUNCH, f"training/{script}.py", write_settings(config)],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class Pair:
    """Two prepared processes, from each of which one rank of a recipe is forked at a time.

    They hash differently, as any two starts of Python do: ranks that went through a set in its order would disagree.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.recipes.prepared_process"],
                cwd=ROOT,
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        self.ranks: list[int] = []

    def start(self, script: str, config: Any, *overrides: str) -> None:
        """Start a recipe; each time the prepared processes swap their ranks."""
        self.processes.reverse()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = [str(write_settings(config)), *overrides]
        self.ranks = []
        for rank, process in enumerate(self.processes):
            values = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            request = {
                "script": script,
                "arguments": arguments,
                "environment": {name: str(value) for name, value in (values | address).items()},
                "messages": str(self.folder / f"rank-{rank}.txt"),
            }
            print(json.dumps(request), file=process.stdin, flush=True)
        for process in self.processes:
            assert process.stdout is not None
            self.ranks.append(int(process.stdout.readline()))

    def running(self) -> bool:
        """Whether neither rank has ended."""
        try:
            for rank in self.ranks:
                os.kill(rank, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End the ranks without warning, and all that they started."""
        for rank in self.ranks:
            os.killpg(rank, signal.SIGKILL)
        assert self.wait() == [-signal.SIGKILL] * 2

    def wait(self) -> list[int]:
        """Exit statuses of both ranks, once they have ended."""
        statuses = [int(process.stdout.readline()) for process in self.processes if process.stdout]
        self.ranks = []
        return statuses

    def run(self, script: str, config: Any, *overrides: str) -> None:
        """Run a recipe to its end."""
        self.start(script, config, *overrides)
        assert self.wait() == [0, 0], [
            (self.folder / f"rank-{rank}.txt").read_text()[-3000:] for rank in range(2)
        ]

    def close(self) -> None:
        """End everything."""
        for rank in self.ranks:
            with suppress(ProcessLookupError):
                os.killpg(rank, signal.SIGKILL)
        for process in self.processes:
            process.communicate()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    prepared = Pair(tmp_path_factory.mktemp("messages"))
    yield prepared
    prepared.close()


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_flow_resumes_exactly_after_sigterm(
    pair: Pair, latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        flow_config(latents_run, text_run, tmp_path / "run"), steps=50, save_every=50, log_every=1
    )
    whole = replace_fields(config, output=str(tmp_path / "whole"))
    pair.run("train_flow", whole)
    assert steps(tmp_path / "whole") == list(range(1, 51))
    process = start("train_flow", config)
    log = tmp_path / "run" / "log.jsonl"
    while not log.is_file() or len(log.read_text().splitlines()) < 5:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()
    assert 5 <= len(steps(tmp_path / "run")) < 50
    assert (tmp_path / "run" / "checkpoints").is_dir()
    pair.run("train_flow", config, "resume=true")
    assert steps(tmp_path / "run") == list(range(1, 51))
    assert same(*(weights(tmp_path / run / "transformer") for run in ("run", "whole")))


def killed_and_resumed(pair: Pair, script: str, config: Any, tmp_path: Path) -> tuple[Path, Path]:
    """The output folders of a run in one go, and of one that is killed without warning and resumed."""
    config = replace_fields(
        config, steps=16, log_every=1, save_every=4, output=str(tmp_path / "run")
    )
    pair.run(script, replace_fields(config, output=str(tmp_path / "whole")))
    pair.start(script, config)
    log = tmp_path / "run" / "log.jsonl"
    while not log.is_file() or len(log.read_text().splitlines()) < 5:
        assert pair.running()
        time.sleep(0.005)
    pair.kill()
    assert 5 <= len(log.read_text().splitlines()) < 16
    pair.run(script, config, "resume=true")
    assert steps(tmp_path / "run") == steps(tmp_path / "whole")
    # Weights, moments, schedules, average, random states and progress: the same bytes.
    first, second = (
        state(tmp_path / name / "checkpoints" / "step-16") for name in ("run", "whole")
    )
    assert {"random_states_0.pkl", "random_states_1.pkl"} <= first.keys() == second.keys()
    assert len(first) >= 6
    assert [name for name in first if first[name] != second[name]] == []
    return tmp_path / "run", tmp_path / "whole"


def state(checkpoint: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(checkpoint.iterdir())}


@pytest.mark.slow
def test_the_aligner(pair: Pair, manifest: Path, text_run: Path, tmp_path: Path) -> None:
    config = replace_fields(clap_config(manifest, text_run, tmp_path), accumulation=2, batch_size=2)
    for part in zip(
        *(
            run.glob("clap/*/*.safetensors")
            for run in killed_and_resumed(pair, "train_clap", config, tmp_path)
        ),
        strict=True,
    ):
        assert same(*map(load_file, part))


@pytest.mark.slow
def test_the_autoencoder_and_its_discriminators(pair: Pair, manifest: Path, tmp_path: Path) -> None:
    config = replace_fields(autoencoder_config(manifest, tmp_path), **ADVERSARIAL)
    runs = killed_and_resumed(pair, "train_autoencoder", config, tmp_path)
    assert same(*(weights(run / "autoencoder") for run in runs))


@pytest.mark.slow
def test_the_text_encoder(pair: Pair, tmp_path: Path) -> None:
    runs = killed_and_resumed(pair, "train_text_encoder", text_encoder_config(tmp_path), tmp_path)
    assert same(*(weights(run / "text_encoder") for run in runs))


@pytest.mark.slow
def test_lora(pair: Pair, tmp_path: Path) -> None:
    runs = killed_and_resumed(pair, "finetune_lora", lora_config(tmp_path), tmp_path)
    assert same(*map(weights, runs))


@pytest.mark.slow
def test_latents_are_shared_out(pair: Pair, latents_run: Path, tmp_path: Path) -> None:
    """Two processes write what one writes."""
    config = load_config(encode_latents.Config, latents_run / "config.yaml")
    pair.run("encode_latents", replace_fields(config, output=str(tmp_path / "latents")))
    files = sorted(path.name for path in latents_run.glob("latents-*.tar"))
    assert files == sorted(path.name for path in (tmp_path / "latents").glob("latents-*.tar"))
    first, second = (load_latents(folder) for folder in (latents_run, tmp_path / "latents"))
    for one, other in zip(first.clips, second.clips, strict=True):
        assert one.name == other.name
        assert torch.allclose(one.latents.float(), other.latents.float(), atol=1e-2)


@pytest.mark.slow
def test_a_streamed_flow_resumes_within_a_pass(
    pair: Pair, latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        flow_config(latents_run, text_run, tmp_path), streamed=True, workers=1, frames_per_batch=40
    )
    runs = killed_and_resumed(pair, "train_flow", config, tmp_path)
    assert same(*(weights(run / "transformer") for run in runs))


@pytest.mark.slow
def test_the_distillation(
    pair: Pair, latents_run: Path, text_run: Path, flow_run: Path, tmp_path: Path
) -> None:
    config = distill_config(latents_run, text_run, flow_run, tmp_path)
    runs = killed_and_resumed(pair, "distill_flow", config, tmp_path)
    assert same(*(weights(run / "transformer") for run in runs))


@pytest.mark.slow
def test_the_network_that_watches(
    pair: Pair, visual_config: train_visual.Config, tmp_path: Path
) -> None:
    config = replace_fields(visual_config, batch_size=1, seconds=1.0, held_out_clips=9)
    runs = killed_and_resumed(pair, "train_visual", config, tmp_path)
    assert same(*(weights(run / "visual") for run in runs))


@pytest.mark.slow
def test_the_flow_that_sees(
    pair: Pair, video_flow_config: train_video_flow.Config, tmp_path: Path
) -> None:
    runs = killed_and_resumed(pair, "train_video_flow", video_flow_config, tmp_path)
    assert same(*(weights(run / "transformer") for run in runs))


@pytest.mark.slow
def test_clips_with_pictures_are_encoded_by_all_processes(
    pair: Pair, videos_config: encode_video.Config, videos_run: Path, tmp_path: Path
) -> None:
    pair.run("encode_video", replace_fields(videos_config, output=str(tmp_path / "videos")))
    alone, shared = load_latents(videos_run).clips, load_latents(tmp_path / "videos").clips
    assert [clip.name for clip in shared] == [clip.name for clip in alone]
    for ours, theirs in zip(shared, alone, strict=True):
        torch.testing.assert_close(ours.latents, theirs.latents, rtol=1e-2, atol=1e-2)
        assert ours.video is not None and theirs.video is not None
        torch.testing.assert_close(ours.video, theirs.video, rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_the_tagger(pair: Pair, taught_run: Path, tmp_path: Path) -> None:
    runs = killed_and_resumed(pair, "train_tagger", tagger_config(taught_run, tmp_path), tmp_path)
    assert same(*(weights(run / "tagger" / "network") for run in runs))


@pytest.mark.slow
def test_the_tagger_that_imitates(
    pair: Pair, taught_run: Path, teacher: Path, tmp_path: Path
) -> None:
    config = replace_fields(imitation_config(taught_run, teacher, tmp_path), alone=False)
    runs = killed_and_resumed(pair, "imitate_tagger", config, tmp_path)
    assert same(*(weights(run / "tagger" / "network") for run in runs))


@pytest.mark.slow
def test_teachers_share_the_shards(
    pair: Pair, taught_run: Path, manifest: Path, teacher: Path, tmp_path: Path
) -> None:
    """Two processes write what one writes."""
    pair.run("teach", teach_config(manifest, teacher, tmp_path / "taught"))
    shards = sorted(path.name for path in taught_run.glob("*.tar"))
    assert shards == sorted(path.name for path in (tmp_path / "taught").glob("*.tar"))
    for name in shards:
        assert (tmp_path / "taught" / name).read_bytes() == (taught_run / name).read_bytes()

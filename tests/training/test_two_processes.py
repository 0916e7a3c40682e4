"""Recipes over two processes on the CPU: they run, agree on the weights, and resume exactly."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training.toy_recipes import (
    autoencoder_config,
    clap_config,
    flow_config,
    same,
    weights,
)
from woosh.config import plain_values, replace_fields

ROOT = Path(__file__).parents[2]
LAUNCH = (
    *("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
)


def start(script: str, config: Any, *overrides: str) -> subprocess.Popen[str]:
    """Start a recipe over two processes with the settings of a configuration."""
    values = plain_values(config)
    path = Path(config.run.output).with_suffix(".yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values))
    return subprocess.Popen(
        [sys.executable, *LAUNCH, f"training/{script}.py", str(path), *overrides],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def launch(script: str, config: Any, *overrides: str) -> None:
    """Run a recipe to its end."""
    process = start(script, config, *overrides)
    _, errors = process.communicate()
    assert process.returncode == 0, errors[-3000:]


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_the_flow_resumes_exactly_after_sigterm(
    latents_run: Path, text_run: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        flow_config(latents_run, text_run, tmp_path / "run"), steps=80, save_every=80, log_every=1
    )
    whole = replace_fields(config, output=str(tmp_path / "whole"))
    launch("train_flow", whole)
    assert steps(tmp_path / "whole") == list(range(1, 81))
    process = start("train_flow", config)
    log = tmp_path / "run" / "log.jsonl"
    while not log.is_file() or len(log.read_text().splitlines()) < 5:
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()
    assert 5 <= len(steps(tmp_path / "run")) < 80
    assert (tmp_path / "run" / "checkpoints").is_dir()
    launch("train_flow", config, "resume=true")
    assert steps(tmp_path / "run") == list(range(1, 81))
    assert same(*(weights(tmp_path / run / "transformer") for run in ("run", "whole")))


@pytest.mark.slow
def test_the_aligner(manifest: Path, text_run: Path, tmp_path: Path) -> None:
    config = clap_config(manifest, text_run, tmp_path / "run")
    launch("train_clap", config)
    assert steps(tmp_path / "run") == [2, 4]
    assert all(
        value.isfinite().all() for value in weights(tmp_path / "run" / "clap" / "head").values()
    )


@pytest.mark.slow
def test_the_autoencoder(manifest: Path, tmp_path: Path) -> None:
    launch("train_autoencoder", autoencoder_config(manifest, tmp_path / "run"))
    assert 6 in steps(tmp_path / "run")
    assert (tmp_path / "run" / "autoencoder" / "config.json").is_file()

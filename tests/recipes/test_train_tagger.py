"""The tagger's recipe at toy size: from teachers or labels, whole or streamed, resumed exactly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.recipes.toy_recipes import (
    Killed,
    check_end,
    killed_after_saving,
    same,
    tagger_config,
    teach_config,
    weights,
)
from tests.sounds import RATE, sound
from training import teach, train_tagger
from woosh.embeddings.clap import load_clap
from woosh.taggers import load_tagger
from woosh.taggers.fields import FieldConvolution
from woosh.taggers.mobilenet import MobileNet
from woosh.training.config import replace_fields
from woosh.training.taggers.distillation import DistillationSettings, Mixture, Targets
from woosh.training.taggers.parallel import ParallelConfig
from woosh.training.taggers.steps import TaggerBatch, training_step


def rows_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_recipe_writes_a_tagger_its_log_and_its_evaluation(tagger_run: Path) -> None:
    tagger = load_tagger(tagger_run / "tagger")
    assert tagger.labels == ("bell", "dog bark", "rain")
    losses = [row["loss"] for row in rows_of(tagger_run) if "loss" in row]
    assert len(losses) == 2 and np.isfinite(losses).all()
    assert [row["step"] for row in rows_of(tagger_run) if "same_first" in row] == [4]
    result = json.loads((tagger_run / "evaluation.json").read_text())
    assert result["sounds"] == 10 and 0 <= result["same_first"] <= 1


RESTRICTED = {"width": 4.0, "removed_blocks": (2, 3, 4), "frequency_rho": 3, "time_rho": 1}
TRANSFORMER = {"width": 8.0, "depth": 1, "heads": 2, "longest_frames": 60, "patch_stride": 16}
NETWORKS: dict[str, dict[str, Any]] = {
    "mobilenet": {},
    "dynamic-mobilenet": {},
    "cp-resnet": RESTRICTED | {"shakes": True, "coordinates": True},
    "cp-vgg": RESTRICTED | {"frequency_damping": 0.1},
    "cp-densenet": RESTRICTED | {"groups": 2},
    "cp-mobile": {"width": 8.0, "bands": 256, "n_fft": 4096, "window_length": 3072},
    "passt": TRANSFORMER | {"patchout_frequency": 1},
    "congater": TRANSFORMER | {"domains": ("device", "place"), "gate": "L"},
}


@pytest.mark.parametrize("network", list(NETWORKS))
def test_a_resumed_run_equals_an_uninterrupted_one(
    network: str, taught_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every network."""
    config = tagger_config(taught_run, tmp_path / "run")
    config = replace_fields(config, network=network, **NETWORKS[network])
    train_tagger.main(replace_fields(config, output=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_tagger.main(config)
    train_tagger.main(replace_fields(config, resume=True))
    first, second = (weights(tmp_path / run / "tagger" / "network") for run in ("run", "whole"))
    assert same(first, second)
    whole = json.loads((tmp_path / "whole" / "evaluation.json").read_text())
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text()) == whole
    check_end(train_tagger.main, config, "tagger")


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    """A device whose low frequencies are lost."""
    (tmp_path / "responses").mkdir()
    soundfile.write(tmp_path / "responses" / "thin.wav", np.array([0.9, -0.7, 0.1]), RATE)
    return tmp_path / "responses"


def test_pruning_follows_its_ramp_and_leaves_no_cut_weight(
    taught_run: Path, responses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the weights after two epochs, in the saved tagger too, whether the run was interrupted or not."""
    config = replace_fields(
        tagger_config(taught_run, tmp_path / "run"),
        network="cp-resnet",
        **RESTRICTED,
        **{"pruned_share": 0.5, "prune_epochs": 1, "prune_scope": "layer"},
        **{"mixstyle_share": 0.5, "response_share": 0.5, "responses": str(responses)},
        **{"parallel_weight": 0.1, "parallel_sounds": 2, "parallel_layer": "stage1.block1"},
    )
    train_tagger.main(replace_fields(config, output=str(tmp_path / "whole")))
    with monkeypatch.context() as patch:
        killed_after_saving(patch)
        with pytest.raises(Killed):
            train_tagger.main(config)
    train_tagger.main(replace_fields(config, resume=True))
    first, second = (weights(tmp_path / run / "tagger" / "network") for run in ("run", "whole"))
    assert same(first, second)
    assert all(np.isfinite(row["parallel"]) for row in rows_of(tmp_path / "run") if "loss" in row)
    network = load_tagger(tmp_path / "run" / "tagger").network
    for layer in network.modules():
        if isinstance(layer, FieldConvolution):
            zeros = float((layer.weight == 0).float().mean())
            assert zeros == pytest.approx(0.5, abs=0.5 / layer.weight.numel() + 0.03)
    with pytest.raises(ValueError, match="a cp-mobile cannot be pruned"):
        train_tagger.main(
            replace_fields(config, network="cp-mobile", output=str(tmp_path / "mobile"))
        )


def test_a_weight_of_0_leaves_everything_as_it_is_without_parallel_sounds(
    taught_run: Path, responses: Path
) -> None:
    """The draws of the versions come last: the same sounds, mixtures and styles with and without them."""
    config = replace_fields(
        tagger_config(taught_run, Path("none")),
        mixup=0.3,
        mixstyle_share=0.5,
        responses=str(responses),
    )
    batches = []
    for weight in (0.0, 0.1):
        with_weight = replace_fields(config, parallel_weight=weight)
        sounds = train_tagger.read_sounds(with_weight, 32_000)
        batches.append(train_tagger.batch_source(with_weight, sounds, 32_000, 0).batch(3))
    without, beside = batches
    assert torch.equal(without.audio, beside.audio)
    assert torch.equal(without.mixture.share, beside.mixture.share)
    assert without.versions is None and beside.versions.shape == (2, 3, without.audio.shape[1])


def test_shards_are_streamed_where_all_sounds_are_equally_long(
    taught_run: Path, manifest: Path, teacher: Path, tmp_path: Path
) -> None:
    taught = replace_fields(teach_config(manifest, teacher, tmp_path / "taught"), seconds=(0.4,))
    teach.main(taught)
    config = replace_fields(tagger_config(tmp_path / "taught", tmp_path / "run"), streamed=True)
    train_tagger.main(config)
    assert (tmp_path / "run" / "tagger" / "labels.txt").read_text() == "bell\ndog bark\nrain\n"
    with pytest.raises(ValueError, match="of one length"):
        train_tagger.main(
            replace_fields(config, data=str(taught_run), output=str(tmp_path / "mixed"))
        )


def test_a_batch_is_learned_by_heart() -> None:
    torch.manual_seed(0)
    network = MobileNet(0.1, classes=3).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    mel = torch.randn(3, 1, 128, 40)
    mixture = Mixture(torch.ones(3), torch.arange(3))
    batch = TaggerBatch(mel, Targets(torch.eye(3), 8 * torch.eye(3) - 4), mixture, None)
    losses = []
    for _ in range(60):
        settings = DistillationSettings("multi-label", 0.5, 1.0)
        loss, _ = training_step(network, batch, settings, ParallelConfig())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # The teacher is never surer than its own entropy.
    assert losses[-1] < 0.2 * losses[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sounds in a sub-folder for each label."""
    for label in ("door", "sword"):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for take in range(5):
            audio = sound(len(label) * 10 + take, seconds=0.5)
            soundfile.write(tmp_path / "sounds" / label / f"{take}.wav", audio.T, RATE)
    return tmp_path / "sounds"


def test_a_trained_tagger_gets_a_head_for_other_labels(
    folder: Path, tagger_run: Path, tmp_path: Path
) -> None:
    config = replace_fields(
        tagger_config(folder, tmp_path / "run"),
        initial=str(tagger_run / "tagger"),
        validation_data=None,
        held_out_share=0.2,
        task="multi-class",
        label_share=1.0,
        crop_seconds=0.3,
        sampling_offset=0.0,
        learning_rate=1e-9,
    )
    train_tagger.main(config)
    tuned, before = load_tagger(tmp_path / "run" / "tagger"), load_tagger(tagger_run / "tagger")
    assert tuned.labels == ("door", "sword")
    for name, value in before.network.named_parameters():
        if not name.startswith("classifier.5"):
            torch.testing.assert_close(tuned.network.get_parameter(name), value, atol=1e-6, rtol=0)
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["sounds"] == 2 and "right_first" in result and "same_first" not in result


def test_an_aligner_s_tower_is_a_start(taught_run: Path, clap_run: Path, tmp_path: Path) -> None:
    config = replace_fields(
        tagger_config(taught_run, tmp_path / "run"), initial=str(clap_run / "clap")
    )
    train_tagger.main(replace_fields(config, learning_rate=1e-9))
    tower = load_clap(clap_run / "clap").audio_encoder
    tuned = load_tagger(tmp_path / "run" / "tagger").network
    for name, value in tower.named_parameters():
        torch.testing.assert_close(tuned.get_parameter(name), value, atol=1e-6, rtol=0)


def test_refusals(taught_run: Path, folder: Path, tmp_path: Path) -> None:
    config = tagger_config(taught_run, tmp_path / "run")
    for number, (change, message) in enumerate(
        (
            ({"network": "transformer"}, "network is 'transformer'; it must be one of"),
            ({"initial": str(tmp_path / "none")}, "unknown tagger"),
            ({"task": "tags"}, "task is 'tags'"),
            ({"label_share": 0.5}, "a sound has no label|not in the list"),
            ({"labels": ("rain",)}, "logits are of 3 labels, the list has 1"),
            ({"crop_seconds": 0.1}, "the teacher heard whole sounds"),
            ({"held_out_share": 1.0}, "held_out_share is 1.0"),
            ({"streamed": True, "held_out_share": 0.5}, "cannot be held out"),
            ({"data": str(folder)}, "of a batch are|teach nothing|no label"),
            ({"split": "test"}, "no sound of the split 'test'"),
        )
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            train_tagger.main(replace_fields(config, **change, output=str(tmp_path / str(number))))

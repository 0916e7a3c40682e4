"""Data sets in their published layouts, from their tables to a trained tagger, on toy copies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.recipes.toy_recipes import CONFIGS
from tests.sounds import sound
from training import teach, train_tagger
from woosh.data.layouts import read_layout
from woosh.taggers import load_tagger
from woosh.taggers.cp_mobile import CpMobile
from woosh.taggers.cp_resnet import CpResNet
from woosh.training.config import load_config, replace_fields
from woosh.training.taggers.examples import known_labels, label_matrix, load_examples

SHORT: dict[str, Any] = {
    "steps": 4,
    "batch_size": 3,
    "log_every": 2,
    "save_every": 2,
    "evaluate_every": 0,
    "statistics_batches": 2,
    "workers": 0,
}


def write(path: Path, seed: int, seconds: float = 0.4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(seed, seconds=seconds).T, 48_000)


@pytest.fixture
def moods(tmp_path: Path) -> Path:
    """All 56 tags on eight tracks a split, by MTG-Jamendo's tables."""
    tables = tmp_path / "jamendo" / "data" / "splits" / "split-0"
    tables.mkdir(parents=True)
    for place, split in enumerate(("train", "validation")):
        rows = ["TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"]
        for number in range(8):
            track = 8 * place + number
            tags = [f"mood/theme---tag{label:02}" for label in range(number, 56, 8)]
            path = f"{track:02}/{track}.mp3"
            rows.append(f"track_{track:07}\tartist_1\talbum_1\t{path}\t0.4\t" + "\t".join(tags))
            write(tmp_path / "jamendo" / "audio" / path.replace(".mp3", ".low.mp3"), track)
        (tables / f"autotagging_moodtheme-{split}.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path / "jamendo"


def test_moods_and_themes_of_music(moods: Path, tmp_path: Path) -> None:
    source = f"mtg-jamendo-mood:{moods}"
    config = load_config(train_tagger.Config, CONFIGS / "tagger_mood.yaml")
    assert config.labels == () and config.architecture.restricted.coordinates
    config = replace_fields(
        config, data=source, validation_data=source, output=str(tmp_path / "run"), **SHORT
    )
    train_tagger.main(replace_fields(config, width=4.0, crop_seconds=0.3, bands=64))
    tagger = load_tagger(tmp_path / "run" / "tagger")
    assert tagger.labels == tuple(f"tag{label:02}" for label in range(56))
    assert tagger.sample_rate == 44_100
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["sounds"] == 8 and result["labels"] == 56
    assert 0 < result["mean_average_precision"] <= 1 and 0 <= result["mean_roc_area"] <= 1


def test_the_mood_network_has_its_exact_count() -> None:
    """The published frequency-aware one, 3,579,924 with two channels and ten classes, for one channel and 56."""
    config = load_config(train_tagger.Config, CONFIGS / "tagger_mood.yaml").architecture
    width = int(config.width)
    with torch.device("meta"):
        network = CpResNet(
            width, 1, 56, config.restricted.fields(), config.restricted.form(prunable=False)
        )
    count = sum(value.numel() for value in network.parameters())
    assert count == 3_579_924 - 25 * width + 46 * (4 * width + 2)


def test_a_network_of_56_logits_learns_32_clips_by_heart() -> None:
    torch.manual_seed(0)
    config = load_config(train_tagger.Config, CONFIGS / "tagger_mood.yaml").architecture
    network = CpResNet(16, 1, 56, config.restricted.fields(), config.restricted.form(False))
    x, labels = torch.randn(32, 1, 32, 24), (torch.rand(32, 56) < 0.1).float()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    loss = torch.tensor(torch.inf)
    for _ in range(250):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x).logits, labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.fixture
def instruments(tmp_path: Path) -> Path:
    """OpenMIC's tables: every clip was asked for two of three instruments."""
    folder = tmp_path / "openmic"
    (folder / "partitions").mkdir(parents=True)
    names, rows = ("banjo", "bass", "voice"), ["sample_key,instrument,relevance,num_responses"]
    keys = [f"{number:06}_3840" for number in range(9)]
    for number, key in enumerate(keys):
        write(folder / "audio" / key[:3] / f"{key}.ogg", number)
        rows.append(f"{key},{names[number % 3]},0.85,3")
        rows.append(f"{key},{names[(number + 1) % 3]},0.1,3")
    (folder / "openmic-2018-aggregated-labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "partitions" / "split01_train.csv").write_text("\n".join(keys[:6]) + "\n")
    (folder / "partitions" / "split01_test.csv").write_text("\n".join(keys[6:]) + "\n")
    return folder


def test_instruments_that_are_known_in_part(instruments: Path, tmp_path: Path) -> None:
    """What nobody was asked for is neither learned nor counted."""
    source = f"openmic:{instruments}"
    sounds = load_examples(source, "train", 32_000)
    labels = ("banjo", "bass", "voice")
    assert label_matrix(sounds[:2], labels).tolist() == [[1, 0, 0], [0, 1, 0]]
    known = known_labels(sounds[:2], labels)
    assert known is not None and known.tolist() == [[1, 1, 0], [0, 1, 1]]
    config = replace_fields(
        load_config(train_tagger.Config, CONFIGS / "tagger_openmic.yaml"),
        data=source,
        validation_data=source,
        output=str(tmp_path / "run"),
        **SHORT,
    )
    assert config.architecture.restricted.shakes
    train_tagger.main(replace_fields(config, width=4.0, crop_seconds=0.3, bands=64, n_fft=2048))
    assert load_tagger(tmp_path / "run" / "tagger").labels == labels
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["sounds"] == 3 and result["labels"] == 3
    assert result["mean_average_precision"] in (0.5, 2 / 3, 5 / 6, 1.0)  # of two known clips each
    with pytest.raises(ValueError, match="known in part only"):
        train_tagger.main(
            replace_fields(
                config, width=4.0, crop_seconds=0.3, task="multi-class", output=str(tmp_path / "b")
            )
        )


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """TAU's tables: two scenes, devices a and s1."""
    folder = tmp_path / "tau"
    (folder / "evaluation_setup").mkdir(parents=True)
    meta = ["filename\tscene_label\tidentifier\tsource_label"]
    train, evaluate = ["filename\tscene_label"], ["filename\tscene_label"]
    for number in range(12):
        scene, device = ("airport", "metro_station")[number % 2], ("a", "s1")[number // 2 % 2]
        name = f"audio/{scene}-lisbon-{1000 + number}-{number}-{device}.wav"
        write(folder / name, number)
        meta.append(f"{name}\t{scene}\tlisbon-{1000 + number}\t{device}")
        (train if number < 8 else evaluate).append(f"{name}\t{scene}")
    (folder / "meta.csv").write_text("\n".join(meta) + "\n")
    (folder / "evaluation_setup" / "fold1_train.csv").write_text("\n".join(train) + "\n")
    (folder / "evaluation_setup" / "fold1_evaluate.csv").write_text("\n".join(evaluate) + "\n")
    return folder


def test_scenes_from_both_teachers_to_the_student(scenes: Path, tmp_path: Path) -> None:
    """A CNN and a transformer learn, hear the sounds, and CP-Mobile learns from their mean."""
    source, responses = f"tau-scenes:{scenes}", tmp_path / "responses"
    responses.mkdir()
    soundfile.write(responses / "thin.wav", np.array([0.9, -0.7, 0.1]), 48_000)
    own = {"data": source, "validation_data": source, "responses": str(responses), **SHORT}
    toy = {
        "scenes_cnn": {"width": 4.0, "bands": 64, "n_fft": 2048, "window_length": 2048},
        "scenes_transformer": {"width": 8.0, "depth": 1, "heads": 2, "patch_stride": 16}
        | {"patchout_frequency": 2},
    }
    for name, changes in toy.items():
        config = load_config(train_tagger.Config, CONFIGS / f"tagger_{name}.yaml")
        assert config.variation.main_device == "a" and config.variation.response_share > 0
        config = replace_fields(config, output=str(tmp_path / name), crop_seconds=0.3, **own)
        train_tagger.main(replace_fields(config, **changes))
    teaching = replace_fields(
        load_config(teach.Config, CONFIGS / "teach_scenes.yaml"),
        data=(source,),
        responses=str(responses),
        output=str(tmp_path / "taught"),
        teachers=tuple(f"tagger:{tmp_path / name / 'tagger'}" for name in toy),
        sounds=8,
        seconds=(0.3,),
        sounds_per_shard=8,
    )
    teach.main(teaching)
    config = replace_fields(
        load_config(train_tagger.Config, CONFIGS / "tagger_scenes.yaml"),
        data=str(tmp_path / "taught"),
        validation_data=source,
        output=str(tmp_path / "student"),
        **SHORT,
    )
    assert (config.loss.label_share, config.loss.temperature) == (0.02, 2.0)
    train_tagger.main(replace_fields(config, width=8.0))
    student = load_tagger(tmp_path / "student" / "tagger")
    assert student.labels == ("airport", "metro_station")
    result = json.loads((tmp_path / "student" / "evaluation.json").read_text())
    assert result["sounds"] == 4 and 0 <= result["right_first"] <= 1


def test_the_student_has_its_published_count() -> None:
    config = load_config(train_tagger.Config, CONFIGS / "tagger_scenes.yaml").architecture
    network = CpMobile(base=int(config.width), classes=10)
    assert sum(value.numel() for value in network.parameters()) == 126_952


def test_devices_are_told_and_others_than_the_main_one_stay(scenes: Path) -> None:
    files = read_layout(f"tau-scenes:{scenes}", "train")
    assert [file.device for file in files] == ["a", "a", "s1", "s1"] * 2
    assert files[1].labels == ("metro_station",)


def test_what_does_not_fit_the_layout_is_refused(
    scenes: Path, moods: Path, instruments: Path
) -> None:
    """By the file, the line and what is wrong there."""
    with pytest.raises(FileNotFoundError, match="fold1_test"):
        read_layout(f"tau-scenes:{scenes}", "test")
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_layout("openmic:nowhere", "train")
    (scenes / "audio").rename(scenes / "sounds")
    with pytest.raises(FileNotFoundError, match="which is not there"):
        read_layout(f"tau-scenes:{scenes}", "train")
    (scenes / "meta.csv").write_text("filename,scene_label\n")
    with pytest.raises(ValueError, match="no columns filename, scene_label, source_label"):
        read_layout(f"tau-scenes:{scenes}", "train")
    table = moods / "data" / "splits" / "split-0" / "autotagging_moodtheme-train.tsv"
    table.write_text("TRACK_ID\ntrack_1\ta\tb\tc.mp3\t1\n")
    with pytest.raises(ValueError, match="line 2 has no tag"):
        read_layout(f"mtg-jamendo-mood:{moods}", "train")
    table = instruments / "openmic-2018-aggregated-labels.csv"
    table.write_text("sample_key,instrument,relevance\na,banjo,often\n")
    with pytest.raises(ValueError, match="row 1: could not convert"):
        read_layout(f"openmic:{instruments}", "train")

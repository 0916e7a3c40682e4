"""The selection at toy size: what is kept is heard, goes on where it was, and a flow learns from it."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.recipes.toy_recipes import CONFIGS, flow_config
from training import select_latents, train_flow
from woosh.training.config import load_config, replace_fields
from woosh.training.flow.latents import load_latents
from woosh.training.flow.selection import is_heard


@pytest.fixture(scope="module")
def config(
    mel_run: Path,
    mel_flow_run: Path,
    text_run: Path,
    clap_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> select_latents.Config:
    """Of toy networks and the built-in ears, which are to hear one of nearly all labels."""
    return replace_fields(
        load_config(select_latents.Config, CONFIGS / "select_mel.yaml"),
        output=str(tmp_path_factory.mktemp("select") / "run"),
        latents=str(mel_flow_run.parent / "mel_latents"),
        text_encoder=str(text_run / "text_encoder"),
        tokenizer=str(text_run / "tokenizer"),
        lengths=(13, 26),
        length_chances=(0.5, 0.5),
        frames_per_batch=208,
        favoured=("dog bark",),
        initial=str(mel_flow_run / "transformer"),
        autoencoder=str(mel_run / "autoencoder"),
        aligner=str(clap_run / "clap"),
        recorded_labels=("dog bark",),
        batches=3,
        sampling_steps=2,
        heard_among=500,
        precision="no",
        storage="float32",
    )


@pytest.fixture(scope="module")
def selected(config: select_latents.Config) -> Path:
    select_latents.main(config)
    return Path(config.output)


def test_what_is_kept_is_labelled_and_captioned(
    selected: Path, config: select_latents.Config
) -> None:
    """Recordings stay as they are; sounds are of a batch's length and have the one caption that they were made of."""
    clips = load_latents(selected).clips
    recorded = {c.name: c.latents for c in load_latents(Path(config.data.latents)).clips}
    own = [c for c in clips if not torch.equal(c.latents, recorded[c.name].float())]
    assert 0 < len(own) < len(clips)
    assert {clip.label for clip in clips} <= {"heard dog bark", "heard other"}
    for clip in own:
        assert clip.latents.shape[1] in (13, 26) and len(clip.captions) == 1
        assert clip.latents.isfinite().all() and clip.latents.std() > 0


def test_what_is_kept_is_heard(config: select_latents.Config, tmp_path: Path) -> None:
    """The ears hear it again, and keep less if it must be among fewer labels."""
    kept = {}
    for among in (500, 3):
        again = replace_fields(config, output=str(tmp_path / str(among)), heard_among=among)
        select_latents.main(again)
        selector = select_latents.load_selector(again, torch.device("cpu"))
        clips = load_latents(tmp_path / str(among)).clips
        kept[among] = len(clips)
        for clip in clips:
            heard = selector.listener(clip.latents[None].float()).probabilities[0]
            assert is_heard(heard, selector.wishes.places(clip.captions[0]), among)
    assert kept[3] < kept[500]


def test_an_ended_run_goes_on_and_ends_alike(
    selected: Path, config: select_latents.Config, tmp_path: Path
) -> None:
    again = dataclasses.replace(config, output=str(tmp_path / "again"))
    select_latents.main(again)
    (tmp_path / "again" / "latents-000002.tar").unlink()
    select_latents.main(again)
    first, second = (load_latents(folder).clips for folder in (selected, tmp_path / "again"))
    assert len(first) == len(second)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_flow_learns_from_it_beside_the_recordings(
    selected: Path, config: select_latents.Config, text_run: Path, streamed: bool, tmp_path: Path
) -> None:
    """And favours it by its label, unless the latents are streamed."""
    flow = replace_fields(
        flow_config(Path(config.data.latents), text_run, tmp_path / "flow"),
        further_latents=(str(selected),),
        streamed=streamed,
        latent_rate=25.0,
        lengths=(13, 26),
        steps=2,
        save_every=2,
        summary=True,
        favoured=() if streamed else ("heard dog bark",),
        favoured_share=0.5,
    )
    train_flow.main(flow)
    assert (tmp_path / "flow" / "transformer" / "config.json").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streamed": True}, "streamed must be false"),
        ({"text_encoder": None, "tokenizer": None}, "name text_encoder and tokenizer"),
        ({"precision": "half"}, "precision is 'half'"),
        ({"storage": "float8"}, "storage is 'float8'"),
    ],
)
def test_refusals(
    config: select_latents.Config, changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        select_latents.main(replace_fields(config, output=str(tmp_path / "run"), **changes))

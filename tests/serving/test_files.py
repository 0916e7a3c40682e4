"""The files of jobs: the same in a folder and in a store of objects, and none of a worker that lost its job."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.objects import BUCKET, object_store
from woosh.serving import uploads
from woosh.serving.files import Files, FilesError, open_files
from woosh.serving.settings import RESULTS, UPLOADS, ServerSettings
from woosh.serving.shared import check_shared


@pytest.fixture(scope="module")
def objects() -> Iterator[None]:
    with object_store() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(params=["folder", "objects"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    if request.param == "folder":
        return open_files(str(tmp_path))
    request.getfixturevalue("objects")
    return open_files(f"s3://{BUCKET}/{tmp_path.name}")


def make(files: Files, job: str, worker: str, content: bytes) -> int:
    with files.making(job, worker) as folder:
        (folder / "rain.wav").write_bytes(content)
        return files.deliver(job, worker, folder)


def fetched(files: Files, job: str, worker: str) -> bytes | None:
    found = files.find(job, worker, "rain.wav")
    if isinstance(found, Path):
        return found.read_bytes()
    return None if found is None else b"".join(found.pieces)


def test_uploads_are_kept_and_removed(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker on another machine reads the bytes that came; what is too large leaves nothing."""
    content = bytes(range(256)) * 10_000
    checksum = files.keep_upload("job", "rain.wav", io.BytesIO(content))
    assert len(checksum) == 64 and files.jobs(UPLOADS) == ["job"]
    assert -60 < files.age("job") < 60
    with files.upload("job", "rain.wav") as path:
        assert (path.name, path.read_bytes()) == ("rain.wav", content)
    files.remove(UPLOADS, "job")
    files.remove(UPLOADS, "job")
    assert files.jobs(UPLOADS) == []
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than"):
        files.keep_upload("large", "rain.wav", io.BytesIO(content))
    files.remove(UPLOADS, "large")
    assert files.jobs(UPLOADS) == []


def test_of_two_workers_one_is_kept(files: Files) -> None:
    """The one that lost its job removes what it made, and the other removes what was begun before it."""
    large = bytes(3_000_000)
    assert make(files, "job", "first", b"lost") == 4
    assert make(files, "job", "second", large) == len(large)
    assert fetched(files, "job", "second") == large
    files.tidy("job", "second", kept=True)
    assert fetched(files, "job", "first") is None
    make(files, "job", "third", b"late")
    files.tidy("job", "third", kept=False)
    assert fetched(files, "job", "third") is None and fetched(files, "job", "second") == large
    assert files.jobs(RESULTS) == ["job"]
    files.remove(RESULTS, "job")
    assert files.jobs(RESULTS) == [] and fetched(files, "job", "second") is None


@pytest.mark.usefixtures("objects")
def test_what_servers_share_is_tried_before_they_begin(tmp_path: Path) -> None:
    """A server that cannot keep what is made does not begin; nor one whose files the others do not reach."""
    check_shared(ServerSettings(tmp_path, (), store=f"s3://{BUCKET}/tried"))
    assert open_files(f"s3://{BUCKET}/tried").jobs(UPLOADS) == []
    with pytest.raises(FilesError, match="no store of files at no-such-bucket/prefix"):
        check_shared(ServerSettings(tmp_path, (), store="s3://no-such-bucket/prefix"))
    with pytest.raises(ValueError, match="no store that is known here"):
        check_shared(ServerSettings(tmp_path, (), store="ftp://host/folder"))
    with pytest.raises(ValueError, match="add --store"):
        ServerSettings(tmp_path, (), jobs="postgresql://woosh@host/jobs")
    gone = f"postgresql://woosh@/jobs?host={tmp_path}"
    with pytest.raises(OSError, match="the database of the jobs cannot be reached: "):
        check_shared(ServerSettings(tmp_path, (), jobs=gone, store=str(tmp_path)))

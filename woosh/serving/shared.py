"""What several servers share, checked before one of them begins."""

from __future__ import annotations

import io
import secrets

from woosh.serving.database import StoreError
from woosh.serving.files import open_files
from woosh.serving.settings import UPLOADS, ServerSettings
from woosh.serving.store import Store


def check_shared(settings: ServerSettings) -> None:
    """Reach the table of jobs, and write a file and remove it, where they are not the server's own.

    Raises:
        ValueError: an address is none of a database or a store that is known.
        OSError: one of them cannot be reached or written.
        ImportError: what reaches it is not installed.
    """
    if settings.jobs is not None:
        try:
            Store(settings.jobs).close()
        except StoreError as error:  # of whose lines the first one says why
            reason = str(error.orig).strip().splitlines()[0]
            raise OSError(f"the database of the jobs cannot be reached: {reason}") from error
    if settings.store is not None:
        files, job = open_files(settings.store), f"check-{secrets.token_hex(8)}"
        files.keep_upload(job, "check", io.BytesIO(b"woosh"))
        files.remove(UPLOADS, job)

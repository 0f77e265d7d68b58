"""Guard against paths that are not regular files, because reading a pipe or device may never end."""

import errno
import os
import stat
from pathlib import Path


def regular_file(path: str | Path, max_bytes: int | None = None) -> Path:
    """Return ``path`` if it is a regular file or a link to one; otherwise raise an OSError.

    Reading a pipe or socket may block, a device may never end, and a sparse file may seem to have terabytes.

    Args:
        max_bytes: largest allowed size of the file; None: any size.

    Raises:
        OSError: the path does not exist, is not a regular file, or the file is too large.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file but a folder, pipe, socket or device", str(path))
    if max_bytes is not None and status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"{status.st_size:,} bytes, more than {max_bytes:,}", str(path))
    return Path(path)

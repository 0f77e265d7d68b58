"""Files that end when they are read."""

import errno
import os
import stat
from pathlib import Path


def regular_file(path: str | Path, max_bytes: int | None = None) -> Path:
    """Return ``path``, to be opened, if it is a file, or a link to one, that can be read to its end.

    A pipe or socket may wait for ever, a device may never end, a sparse file may hold terabytes of nothing.

    Args:
        max_bytes: the largest size that the file may have; None: any.

    Raises:
        OSError: there is none, it is something else, or it is too large.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file but a folder, pipe, socket or device", str(path))
    if max_bytes is not None and status.st_size > max_bytes:
        raise OSError(errno.EFBIG, f"{status.st_size:,} bytes, more than {max_bytes:,}", str(path))
    return Path(path)

"""What can be read to its end, and what cannot."""

import os
import stat

import pytest

from s10_pipeline.identity.regular_files import regular_file


def test_files_and_links_to_them_are_given_back(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    (tmp_path / "link").symlink_to("file")
    assert regular_file(str(tmp_path / "file"), max_bytes=4).read_bytes() == b"1234"
    assert regular_file(tmp_path / "link").read_bytes() == b"1234"
    with pytest.raises(OSError, match="4 bytes, more than 3"):
        regular_file(tmp_path / "link", max_bytes=3)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "pipe"),
        (os.mkdir, "folder"),
        (lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), "socket"),
        (lambda path: os.symlink("/dev/zero", path), "device"),
        (lambda path: os.symlink("gone", path), "No such file"),
        (lambda path: os.truncate(path.touch() or path, 2**40), "1,099,511,627,776 bytes"),
    ],
)
def test_what_does_not_end_is_refused(tmp_path, make, reason):
    make(tmp_path / "it")
    with pytest.raises(OSError, match=reason):
        regular_file(tmp_path / "it", max_bytes=10**9)

import pytest
from click.testing import CliRunner

from s10_pipeline.cli import cli


@pytest.mark.parametrize("address", ["node1", ":29400", "node1:port", "node1:0", "node1:65536"])
def test_an_address_of_another_form_is_one_line(address):
    ended = CliRunner().invoke(cli, ["join", address])
    assert ended.exit_code == 1
    (line,) = ended.output.splitlines()
    assert line.startswith(f"Error: rendezvous={address}: must be HOST:PORT with a port from 1 to 65535")

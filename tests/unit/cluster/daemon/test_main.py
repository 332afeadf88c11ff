import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from cluster.daemon.main import main


def test_an_engine_elsewhere_is_refused_with_the_reason() -> None:
    result = CliRunner().invoke(main, ["--engine", "tcp://10.0.0.1:2375"])
    assert result.exit_code == 2
    assert "is not unix:///PATH" in result.output


def test_a_folder_in_use_ends_the_process_with_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "cluster.daemon.main",
            "--state-dir",
            str(tmp_path / "state" / "below"),
            "--socket",
            str(tmp_path / "s.sock"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("stackd: ")
    assert "cannot be used as state folder" in done.stderr
    assert "Traceback" not in done.stderr

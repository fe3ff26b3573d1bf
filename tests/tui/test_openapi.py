"""What the OpenAPI document promises, asked of `ponder serve` by Schemathesis: hostile requests made from it.

More of them by hand: EXAMPLES=50 SEED=2 pytest tests/tui/test_openapi.py --timeout 3600
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.commands import serving

EXAMPLES = os.environ.get("EXAMPLES", "2")  # of each operation and phase
SEED = os.environ.get("SEED", "1")
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.timeout(900)
def test_no_request_breaks_the_server_and_no_answer_is_undocumented(tmp_path: Path) -> None:
    with serving(tmp_path, PONDER_EFFORT="low") as url:
        command = [
            Path(sys.executable).with_name("schemathesis"),
            "--config-file",
            CONFIG,
            "run",
            f"{url}/openapi.json",
        ]
        how = ["--max-examples", EXAMPLES, "--seed", SEED, "--continue-on-failure", "--request-timeout", "300"]
        done = subprocess.run(
            [*command, *how, "--no-color"], cwd=tmp_path, capture_output=True, text=True, timeout=3600
        )
    print(done.stdout)
    assert done.returncode == 0, done.stdout

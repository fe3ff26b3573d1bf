"""Signs of life: on standard error of a person's terminal, and nowhere else."""

import pytest

from tui.progress import bar, loading


def test_where_nobody_looks_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with loading(), bar() as shown:
        shown(10, 3, "reading")
    assert capsys.readouterr() == ("", "")

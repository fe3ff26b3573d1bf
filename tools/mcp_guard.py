"""Between Ponder and the program of an MCP server: ends it when it writes a line that is longer than any message, or
more messages than anybody needs.

    python -I mcp_guard.py COMMAND [ARGUMENT ...]

The SDK keeps a line whole until its end, however long that takes. Standard input goes to the program directly; its
output comes through here. Exits as the program does, or with ``FLOODED``. Imports nothing else: it is started often.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence

LONGEST = 32 * 2**20  # bytes of a line: a message with a large picture in it
MANY, SPAN = 5_000, 10.0  # messages in how many seconds
PIECE = 2**16
FLOODED, MISSING = 75, 127


def main(command: Sequence[str]) -> int:
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return MISSING
    assert process.stdout is not None
    line, lines, since = 0, 0, time.monotonic()
    while piece := os.read(process.stdout.fileno(), PIECE):
        lines += piece.count(b"\n")
        if (now := time.monotonic()) - since > SPAN:
            lines, since = 0, now
        end = piece.rfind(b"\n")
        line = line + len(piece) if end < 0 else len(piece) - end - 1
        if line > LONGEST or lines > MANY:
            process.kill()
            process.wait()
            return FLOODED
        while piece:
            piece = piece[os.write(sys.stdout.fileno(), piece) :]
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

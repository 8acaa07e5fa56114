"""Draw what commands print in a terminal: ``python docs/hooks/picture.py docs/terminal.svg 'licet explain …' …``.

They run as they are, in this shell's environment; the SVG loads no font. docs/terminal.svg was drawn beside ``licet up
--simulate`` with LICET_DATABASE_URL=postgresql://postgres@/postgres?host=$PWD/.data/postgres and its key.
"""

import io
import os
import pathlib
import re
import subprocess
import sys

from rich.console import Console
from rich.text import Text

WIDTH = 118
_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def main(path: str, *commands: str) -> None:
    """Run the commands, one after another, and write the picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    environment = os.environ | {"COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    for command in commands:
        console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
        # `script` gives the command a terminal.
        done = subprocess.run(
            ["script", "-qec", command, "/dev/null"], env=environment, capture_output=True, check=False
        )
        console.print(Text.from_ansi(done.stdout.decode().replace("\r", "").rstrip()))
        console.print()
    drawn = _FONT.sub("", console.export_svg(title="licet")).replace("Fira Code", "ui-monospace, Menlo, Consolas")
    pathlib.Path(path).write_text(drawn)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Options that the command lines of the applications share."""

from __future__ import annotations

from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(help="Everything random follows from it.", min=0)]
Threads = Annotated[
    int | None, typer.Option(help="Processor threads; all cores where not given.", min=1, show_default=False)
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, if there is one.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")]

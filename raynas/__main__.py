"""``python -m raynas`` is ``raynas``."""

from raynas.cli import main

main()

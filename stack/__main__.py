"""``python -m stack``."""

from stack.cli.main import main

main()

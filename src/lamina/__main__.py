"""`python -m lamina`."""

from lamina.cli.commands import main

main()

"""``python -m licet`` is ``licet``."""

from licet.cli.main import main

main()

"""``python -m nst`` is ``nst``."""

from nst.cli.main import main

main()

"""``python -m nst`` is ``nst``."""

from nst.main import main

main()

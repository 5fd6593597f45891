"""``python -m nst.report``."""

from nst.report.main import main

main()

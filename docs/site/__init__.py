"""The site of the documentation: the pages of ``docs/`` and what is generated from the code.

GitHub shows the pages as they are; comments in them say where the site has more.
"""

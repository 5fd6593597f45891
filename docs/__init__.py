"""The documentation, and ``docs.site``, which builds its site."""

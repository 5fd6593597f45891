"""Commands in processes of their own, the pages in a browser, W&B's client against a server."""

"""Configs of nst; a package only so that Hydra finds them in a wheel."""

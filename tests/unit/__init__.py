"""Functions, the network and configs: no Trainer, no command, no process."""

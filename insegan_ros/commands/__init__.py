"""The subcommands of `insegan`, one file each."""

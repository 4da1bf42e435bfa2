"""The subcommands, a module each; `pipeline.cli` names them and says what is in one."""

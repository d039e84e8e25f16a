"""The command line: presentation only; every command calls a public function."""

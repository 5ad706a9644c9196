"""Everything that the emulator holds: records, schema, tokens, limits, faults, recorded requests and the state file."""

"""State of the emulator: records, schema, tokens, limits, faults, recorded requests and the file that keeps them."""

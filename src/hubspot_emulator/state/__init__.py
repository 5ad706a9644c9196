"""State of the emulator, including limits, faults and recorded requests; a file stores records, schema and tokens."""

"""The properties of records: which exist, who may write them, and how values are translated and compared."""

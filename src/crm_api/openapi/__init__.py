"""The OpenAPI document: its text, examples and headers, added to what FastAPI derives from the code."""

"""FastAPI dependencies that routes declare in their signatures."""

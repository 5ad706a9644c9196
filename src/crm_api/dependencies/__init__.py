"""FastAPI dependencies: what a route may ask for in its signature."""

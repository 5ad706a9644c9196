"""Routes: each parses the request, calls one service function and returns the response."""

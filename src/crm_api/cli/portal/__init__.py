"""Built files of examples/portal, which the demo serves; `make portal` writes them."""

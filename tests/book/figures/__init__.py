"""The figures of the pages, drawn from small made-up results."""

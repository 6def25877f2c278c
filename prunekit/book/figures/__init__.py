"""The figures of the pages: one module a page, whose functions take results and a palette and draw."""

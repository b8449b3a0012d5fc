"""The pages of the site: one module per kind of page, each with a function that gives the values of its template."""

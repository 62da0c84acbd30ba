"""One evaluation as a page: tables, distributions, pictures and subgroups in a single HTML file."""

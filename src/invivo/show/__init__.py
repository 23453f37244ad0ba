"""Documents and pictures as data, and the writers that turn them into terminal text, Markdown, HTML, SVG and files."""

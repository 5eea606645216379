"""Public data: the table of assets, and downloads."""

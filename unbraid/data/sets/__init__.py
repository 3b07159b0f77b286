"""One reader per file; `read(root)` opens index files only, never frames."""

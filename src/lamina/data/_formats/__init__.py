"""Stage 1, formats of files: one reader a file; `lamina.data.files` chooses."""

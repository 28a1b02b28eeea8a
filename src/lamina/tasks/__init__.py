"""What a bundle can be asked, a module or a package for each task; `lamina.task` says what it has to have."""

"""The workbench without code, in the browser: data, a recipe, training, its report and a service; a folder of runs."""

"""`lamina app BUNDLE`: a page in the browser to try a bundle out, made of what the bundle says it can be asked."""

"""Apps in a browser, made with Streamlit: each is a folder here, started by one command. Nothing else knows of them."""

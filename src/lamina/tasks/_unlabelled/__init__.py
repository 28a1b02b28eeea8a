"""What tasks on rows without a target share: how rows are collected, and how a table's columns become one vector."""

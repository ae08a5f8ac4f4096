"""The controllers of the practice cluster, one file each; `install_all` hires them."""

"""What people press, fill in and command: clicks on cards, windows, /opsthread, the Home tab, feedback."""

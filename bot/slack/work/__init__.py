"""What one replica at a time does with what was kept: asks, shows, sends."""

"""An action: the one place from which a plan that people approved is run."""

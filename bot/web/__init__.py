"""The web chat: page shells, ES modules, Web Components. No build step, no HTML string from untrusted text."""

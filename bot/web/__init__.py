"""The web: page shells from templates, hand-written ES modules over REST and the event stream; no build step."""

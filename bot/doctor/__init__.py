"""`opsthread doctor`: looks at a whole installation and says what to mend.

Each module looks at one part and gives CheckRows; nothing that is wrong makes one raise. `place`, `keys`, `storage` and `wire`
need no running serve; `living` asks a running control plane and its runners; `models` asks the model, which costs money.
"""

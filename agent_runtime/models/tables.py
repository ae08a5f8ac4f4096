"""kubectl's table of pods, read back from text. Pure."""


def matching_pods(table: str, words: tuple[str, ...], namespace: str | None) -> tuple[tuple[str, str], ...]:
    """(namespace, pod) of the rows that a word names, the best first: the same name, then a name that begins with it, then
    one that holds it; of those, the one with the most restarts."""
    lines = [line.split() for line in table.splitlines() if line.strip()]
    if not lines or "NAME" not in lines[0]:
        return ()
    header = lines[0]
    name, where = header.index("NAME"), header.index("NAMESPACE") if "NAMESPACE" in header else None
    restarts = header.index("RESTARTS") if "RESTARTS" in header else None
    found: list[tuple[int, int, str, str]] = []
    for row in lines[1:]:
        if len(row) <= name:
            continue
        fit = min((_fit(row[name].lower(), word.split("/")[-1]) for word in words), default=3)
        pod_namespace = row[where] if where is not None else namespace
        if fit < 3 and pod_namespace:
            count = int(row[restarts]) if restarts is not None and len(row) > restarts and row[restarts].isdigit() else 0
            found.append((fit, -count, pod_namespace, row[name]))
    return tuple((space, pod) for _, _, space, pod in sorted(found))


def _fit(name: str, word: str) -> int:
    if name == word:
        return 0
    if name.startswith(f"{word}-"):
        return 1
    return 2 if word in name else 3

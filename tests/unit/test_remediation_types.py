"""One type of remediation is a class in protocol.remediation and a row in each of these tables: what is missing is named."""

import json
from pathlib import Path

import pytest

from knowledge.wording import texts_of
from protocol.kubectl.render import ACTIONS
from protocol.remediation import REMEDIATIONS
from protocol.rights import rights_for
from protocol.risk import RISKS
from runner.remediation.rows import ROWS

I18N = Path(__file__).parents[2] / "bot" / "web" / "i18n"


@pytest.mark.parametrize("name", REMEDIATIONS)
def test_every_table_knows_every_type(name: str) -> None:
    labels = {lang: json.loads((I18N / f"{lang}.json").read_text(encoding="utf-8")) for lang in ("en", "zh", "ja")}
    tables = {
        "protocol/risk.py": name in RISKS,
        "protocol/kubectl/render.py": REMEDIATIONS[name] in ACTIONS,
        "runner/remediation/rows.py": name in ROWS,
        **{f"knowledge/wording/{lang}.py": name in texts_of(lang).actions for lang in ("en", "zh", "ja")},
        **{f"bot/web/i18n/{lang}.json": f"action.{name}" in labels[lang] for lang in ("en", "zh", "ja")},
    }
    missing = [table for table, there in tables.items() if not there]
    assert not missing, f"{name} has no row in {', '.join(missing)}"
    assert rights_for([name])

"""One type of remediation is a class in protocol.remediation and a row in each of these tables: what is missing is named."""

import pytest

from knowledge.wording.actions import SENTENCES
from protocol.kubectl.render import ACTIONS
from protocol.remediation import REMEDIATIONS
from protocol.rights import rights_for
from protocol.risk import RISKS
from runner.remediation.rows import ROWS


@pytest.mark.parametrize("name", REMEDIATIONS)
def test_every_table_knows_every_type(name: str) -> None:
    tables = {
        "protocol/risk.py": name in RISKS,
        "protocol/kubectl/render.py": REMEDIATIONS[name] in ACTIONS,
        "runner/remediation/rows.py": name in ROWS,
        "knowledge/wording/actions.py": name in SENTENCES,
    }
    missing = [table for table, there in tables.items() if not there]
    assert not missing, f"{name} has no row in {', '.join(missing)}"
    assert rights_for([name])

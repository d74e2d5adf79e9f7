"""The house's own components are declared once each."""

import ast
from pathlib import Path

DECLARED = Path(__file__).parent.parent / "twisted" / "plugins" / "mailplat_components.py"


def test_no_component_hides_another() -> None:
    names = [
        target.id
        for statement in ast.parse(DECLARED.read_text()).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]
    assert len(names) > 10
    assert len(names) == len(set(names))

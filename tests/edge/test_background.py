"""The background label is found by its name."""

import pytest

from seqvision_edge.background_label import backgrounds

NAMES = (
    """
none|None|_none_|(none)|00_none|none_1|idle|IDLE|no-gesture|NoGesture|No gesture|nogesture|Negative
Doing other things|background|nothing|Nothing Happens|other|Others|rest|neutral|No Action|NoAction
null|non_event|NonEvent|no motion|No_Activity|not a gesture|without gesture|bg|Background noise
keine Geste|Hintergrund|sin acción|arrière-plan|aucun geste|nessun gesto|sem gesto|geen gebaar
brak gestu|нет жеста|фон|hiçbir şey|无|無動作|背景|その他|なし|없음|배경|خلفية|लेबल
""".strip()
    .replace("\n", "|")
    .split("|")[:-1]
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_for_nothing_happens_is_known(name: str) -> None:
    assert backgrounds(["clap", name, "wave"]) == [name]


def test_other_names_are_not() -> None:
    names = (
        "yes no nose nod note notify still north stop knock normal otherwise mother brother zero"
    )
    assert backgrounds([*names.split(), "empty hand", "restart", "restroom", "nonet"]) == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["fight", "noFight"], ["noFight"]),
        (["NonViolence", "Violence"], ["NonViolence"]),
        (["fall", "not_fall", "sit"], ["not_fall"]),
        (["fighting", "no_fight"], ["no_fight"]),
        (["abnormal", "normal"], ["normal"]),
        (["fast", "normal", "slow"], []),
        (["background", "none", "wave"], ["none", "background"]),
        (["Doing other things", "No gesture", "Thumb Up"], ["No gesture", "Doing other things"]),
        (["idle", "other", "rest", "wave"], ["idle", "other", "rest"]),
    ],
)
def test_the_other_labels_decide_too(labels: list[str], expected: list[str]) -> None:
    assert backgrounds(labels) == expected

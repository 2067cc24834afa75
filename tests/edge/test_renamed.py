"""Former names of options are refused with the new name."""

import pytest

from seqvision_edge.command_line import edge_programs, parse, read_arguments
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.option_fields import options_of
from seqvision_edge.renamed_options import OPTIONS, translated

HERE = [
    (program, old, new)
    for program, options in edge_programs().items()
    for old, new in OPTIONS.items()
    if new in {option.name for option in options_of(options)}
]


@pytest.mark.parametrize(("program", "old", "new"), HERE)
def test_an_old_option_is_refused_by_a_line_with_the_new_one(
    program: str, old: str, new: str
) -> None:
    for arguments in ([f"--{old}", "0.5"], [f"--{old}=0.5"], [f"--{old.replace('-', '_')}"]):
        flag = arguments[0].partition("=")[0]
        with pytest.raises(SeqvisionError) as refused:
            parse(edge_programs()[program], program, arguments)
        assert str(refused.value) == f"{program}: {flag} is now --{new}"


def test_no_name_is_old_and_in_use() -> None:
    in_use = {option.name for kind in edge_programs().values() for option in options_of(kind)}
    assert not in_use & OPTIONS.keys()
    assert not OPTIONS.keys() & set(OPTIONS.values())


def test_an_old_option_of_another_program_is_named_with_it() -> None:
    serve = edge_programs()["edge-serve"]
    with pytest.raises(SeqvisionError, match=r"--collect here; it is now --save-uncertain, an "):
        read_arguments(serve, "edge-serve", ["--collect", "folder"], "", edge_programs).build()


def test_saved_options_get_the_names_of_today() -> None:
    saved = {"collect_mb": 3, "part": {"enter": 0.5, "early": None}, "reject": 1}
    assert translated(saved) == {
        "save_uncertain_mb": 3,
        "part": {"on_threshold": 0.5, "early": None},
        "min_confidence": 1,
    }

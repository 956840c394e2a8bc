from vidssl.visualize import source
from vidssl.visualize.sources import code_of


class Outer:
    def inner(self, x):
        """Said
        in two lines."""
        # why
        return x + 1


def bare(x):
    return x


def test_a_function_is_shown_at_the_margin_without_its_docstring():
    assert code_of(Outer.inner) == "def inner(self, x):\n    # why\n    return x + 1"
    assert code_of(bare) == "def bare(x):\n    return x"


def test_several_stand_in_one_block():
    assert source(bare, bare).data.count("def bare") == 2
    assert source(bare).data.startswith("```python\ndef bare")

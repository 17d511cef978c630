"""What plugin authors and embedders may import, and nothing else."""

import inspect
import subprocess
import sys

import pytest

import recon_core


def test_names_are_sorted_and_stand_once():
    assert recon_core.__all__ == sorted(set(recon_core.__all__))


def test_every_name_has_one_home():
    assert sorted(recon_core._HOME) == recon_core.__all__


@pytest.mark.parametrize("name", recon_core.__all__)
def test_name_resolves_to_its_home_and_says_what_it_is(name):
    value = getattr(recon_core, name)
    assert (inspect.getdoc(value) or "").strip() or not callable(value), f"recon_core.{name} has no docstring"
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__ == f"recon_core.{recon_core._HOME[name]}"


@pytest.mark.parametrize("name", recon_core.__all__)
def test_public_methods_say_what_they_do(name):
    value = getattr(recon_core, name)
    if not inspect.isclass(value):
        return
    for attribute, member in vars(value).items():
        if not attribute.startswith("_") and inspect.isroutine(member):
            assert inspect.getdoc(getattr(value, attribute)), f"recon_core.{name}.{attribute} has no docstring"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'recon_core' has no attribute 'Positions'"):
        recon_core.Positions  # noqa: B018  # looking it up is what raises


def test_import_of_the_package_imports_nothing_else():
    code = "import sys; import recon_core; print([name for name in sys.modules if name.startswith('recon_core.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"

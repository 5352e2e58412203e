from __future__ import annotations

from hepflows.report.nested import grouped_rows


def test_a_manifest_becomes_groups_of_rows() -> None:
    manifest = {
        "hepflows": "1.0",
        "seed": 3,
        "versions": {"torch": "2.13", "numpy": "2.4"},
        "identity": {
            "config": {"model": {"blocks": 6, "hidden": [64, 64]}, "preset": "demo"},
            "data": [{"name": "a.root", "sha256": "00"}, {"name": "b.root", "sha256": "11"}],
            "seed": 1,
        },
        "n_train": None,
    }
    assert grouped_rows(manifest) == {
        "": [["hepflows", "1.0"], ["seed", "3"], ["identity.seed", "1"], ["n_train", "None"]],
        "versions": [["torch", "2.13"], ["numpy", "2.4"]],
        "identity.config": [["model.blocks", "6"], ["model.hidden", "64, 64"], ["preset", "demo"]],
        "identity.data": [["1.name", "a.root"], ["1.sha256", "00"], ["2.name", "b.root"], ["2.sha256", "11"]],
    }


def test_empty_values() -> None:
    assert grouped_rows({}) == {}
    assert grouped_rows({"a": {}, "b": [], "c": None}) == {"": [["b", ""], ["c", "None"]]}

"""JASPAR, offline, and files in its place."""

import socket
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from capsight.data.io.meme import MotifSet, write_meme
from capsight.errors import InputError
from capsight.motifs.known.database import motif_db_inputs, read_motif_db


def test_jaspar_is_the_core_collection_in_its_latest_versions(fungi: MotifSet) -> None:
    ids = [pwm.id for pwm in fungi.pwms]
    assert len(ids) == 179  # as JASPAR's own site counts them
    assert len({name.split(".")[0] for name in ids}) == len(ids)
    assert ids == sorted(ids)
    np.testing.assert_array_equal(fungi.background, [0.25] * 4)


def test_a_known_factor_is_what_it_should_be(fungi: MotifSet) -> None:
    (tbp,) = (pwm for pwm in fungi.pwms if pwm.name == "SPT15")
    assert "TATA" in tbp.consensus
    assert tbp.reverse_complement().reverse_complement().consensus == tbp.consensus
    for pwm in fungi.pwms:
        np.testing.assert_allclose(pwm.probabilities.sum(axis=1), 1)
        assert pwm.sites >= 1


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert len(read_motif_db("JASPAR2024", "nematodes").pwms) > 10


def test_a_file_takes_the_place_of_jaspar(fungi: MotifSet, tmp_path: Path) -> None:
    path = tmp_path / "mine.meme"
    write_meme(path, MotifSet(fungi.pwms[:3], fungi.background))
    assert [pwm.id for pwm in read_motif_db(str(path)).pwms] == [pwm.id for pwm in fungi.pwms[:3]]
    assert motif_db_inputs(str(path)) == {"motif_db": path}
    assert motif_db_inputs("JASPAR2026") == {}
    with pytest.raises(InputError, match="a MEME file has no taxa"):
        read_motif_db(str(path), "fungi")


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'JASPAR2023' is neither a file nor one of .*JASPAR2022.*JASPAR2026"):
        read_motif_db("JASPAR2023")
    with pytest.raises(InputError, match=r"no taxon 'yeast': it has .*fungi.*vertebrates"):
        read_motif_db("JASPAR2022", "yeast")

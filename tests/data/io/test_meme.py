"""The MEME format: what is written is read back, by others too, and a broken file is named line by line."""

from pathlib import Path

import numpy as np
import pytest

from capsight.data.io.meme import DEFAULT_SITES, MotifSet, Pwm, read_meme, sniff_motif_format, write_meme
from capsight.errors import InputError

HEAD = "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\n"
BACKGROUND = "Background letter frequencies\nA 0.3 C 0.2 G 0.2 T 0.3\n\n"
MOTIF = "MOTIF MA1 TBP\nletter-probability matrix: alength= 4 w= 2 nsites= 12 E= 0\n 0.7 0.1 0.1 0.1\n 0 0 0 1\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "motifs.meme"
    path.write_text(text)
    return path


@pytest.fixture
def motifs() -> MotifSet:
    rng = np.random.default_rng(0)
    pwms = [Pwm(f"m{w}", "" if w % 2 else f"TF{w}", rng.dirichlet([0.5] * 4, size=w), 10.0 * w) for w in (5, 6, 12)]
    return MotifSet(tuple(pwms), np.array([0.31, 0.19, 0.2, 0.3]))


def test_what_is_written_is_read_back(motifs: MotifSet, tmp_path: Path) -> None:
    path = tmp_path / "motifs.meme"
    write_meme(path, motifs)
    again = read_meme(path)
    assert [(p.id, p.name, p.sites) for p in again.pwms] == [("m5", "", 50), ("m6", "TF6", 60), ("m12", "TF12", 120)]
    np.testing.assert_allclose(again.background, motifs.background, atol=1e-6)
    for before, after in zip(motifs.pwms, again.pwms, strict=True):
        np.testing.assert_allclose(after.probabilities, before.probabilities, atol=2e-6)


def test_other_readers_agree(motifs: MotifSet, tmp_path: Path) -> None:
    from Bio.motifs import parse
    from memelite.io import read_meme as read_with_memelite

    path = tmp_path / "motifs.meme"
    write_meme(path, motifs)
    theirs = read_with_memelite(str(path))
    assert list(theirs) == ["m5", "m6 TF6", "m12 TF12"]
    for mine, other in zip(motifs.pwms, theirs.values(), strict=True):
        np.testing.assert_allclose(other.T, mine.probabilities, atol=2e-6)
    with path.open() as handle:
        record = parse(handle, "minimal")
    assert [(m.name, m.length, m.num_occurrences) for m in record] == [("m5", 5, 50), ("m6", 6, 60), ("m12", 12, 120)]
    assert record[0].background == {"A": 0.31, "C": 0.19, "G": 0.2, "T": 0.3}


def test_optional_keys_may_be_absent(tmp_path: Path) -> None:
    text = HEAD + BACKGROUND + "MOTIF a\nletter-probability matrix:\n1 0 0 0\n0 1 0 0\n\nMOTIF b\n" + MOTIF[14:]
    first, second = read_meme(written(tmp_path, text)).pwms
    assert (first.id, first.name, first.consensus, first.sites) == ("a", "", "AC", DEFAULT_SITES)
    assert (second.id, second.consensus, second.sites) == ("b", "AT", 12)


def test_the_output_of_meme_itself_is_read(tmp_path: Path) -> None:
    rule = "*" * 80
    text = (
        f"{rule}\nMEME - Motif discovery tool\n{rule}\nMEME version 5.5.7 (Release date: x)\n\n{rule}\n"
        "ALPHABET= ACGT\nSequence name            Weight Length\nstrands: + -\n"
        "Letter frequencies in dataset:\nA 0.28 C 0.22 G 0.22 T 0.28\n"
        "Background letter frequencies (from file `none'):\nA 0.281 C 0.219 G 0.219 T 0.281\n"
        f"{rule}\nMOTIF TATAAA MEME-1\twidth =   2  sites =   7  llr = 1  E-value = 1e-3\n{rule}\n"
        "\tMotif TATAAA MEME-1 position-specific scoring matrix\n"
        "log-odds matrix: alength= 4 w= 2 n= 9 bayes= 1 E= 1e-3\n 1 2 3 4\n 1 2 3 4\n"
        "letter-probability matrix: alength= 4 w= 2 nsites= 7 E= 1.0e-003\n"
        " 0.000000  0.000000  0.000000  1.000000\n 1.000000  0.000000  0.000000  0.000000\n---\n"
    )
    motifs = read_meme(written(tmp_path, text))
    assert [(p.id, p.name, p.consensus, p.sites) for p in motifs.pwms] == [("TATAAA", "MEME-1", "TA", 7)]
    np.testing.assert_allclose(motifs.background, [0.281, 0.219, 0.219, 0.281])


#: The first lines of other formats, and what they are called.
OTHERS = {
    "JASPAR": ("JASPAR", ">MA1.1\tX\nA  [ 4 19 ]\nC  [16 0 ]\nG  [ 0 1 ]\nT  [ 0 0 ]\n"),
    "JASPAR's PFM": ("a matrix of counts (PFM)", ">MA1.1 X\n4 19 0\n16 0 20\n0 1 0\n0 0 0\n"),
    "PFM with letters": ("a matrix of counts (PFM)", ">MA1.1 X\nA 4 19 0\nC 16 0 20\nG 0 1 0\nT 0 0 0\n"),
    "HOMER": ("HOMER", ">ASTTCC\t1-ASTTCC\t8.05\t-1781\t0\n0.726\t0.002\t0.170\t0.103\n"),
    "TRANSFAC": (
        "TRANSFAC",
        "AC  M1\nXX\nID  X\nXX\nP0      A      C      G      T\n01      1      2      2      0      S\n",
    ),
    "CIS-BP": ("a matrix without a name", "Pos\tA\tC\tG\tT\n1\t0.1\t0.2\t0.3\t0.4\n"),
    "numbers": ("a matrix without a name", "0.1 0.2 0.3 0.4\n0.4 0.3 0.2 0.1\n"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_formats_are_told_from_sequences(case: str, tmp_path: Path) -> None:
    assert sniff_motif_format(written(tmp_path, OTHERS[case][1])) == OTHERS[case][0]
    for sequences in (">a\nACGT\n", ">a b\n\nA\nC\n", ";x\n>a\nACGT\n"):
        assert sniff_motif_format(written(tmp_path, sequences)) is None


def test_meme_format_is_told_too(tmp_path: Path) -> None:
    for text in (HEAD + BACKGROUND + MOTIF, "****\nMEME - Motif discovery tool\n****\nMEME version 5.4.1\n"):
        assert sniff_motif_format(written(tmp_path, text)) == "MEME"


def test_matrices_may_follow_each_other_without_blank_lines(tmp_path: Path) -> None:
    text = HEAD + BACKGROUND + MOTIF.strip("\n").replace("w= 2", "") + "\n" + MOTIF.replace("MA1", "2 b")
    assert [(pwm.id, pwm.width) for pwm in read_meme(written(tmp_path, text)).pwms] == [("MA1", 2), ("2", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (">seq\nACGT\n", "is not MEME format: it begins with '>seq'"),
        (MOTIF, "is not MEME format"),
        (HEAD + MOTIF, "has no background"),
        (HEAD + BACKGROUND, "holds no motifs"),
        (HEAD.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY") + BACKGROUND + MOTIF, ":3: the alphabet is 'ACDEF"),
        (HEAD + BACKGROUND.replace("0.3 C", "0.9 C") + MOTIF, "is not four shares"),
        (HEAD + BACKGROUND.replace("A 0.3 C 0.2", "A 0.5 C 0") + MOTIF, "is not four shares"),
        (HEAD + BACKGROUND.replace("A 0.3", "A x") + MOTIF, "the background is not of the form"),
        (HEAD + BACKGROUND + MOTIF + MOTIF, ":14: motif 'MA1' occurs more than once"),
        (HEAD + BACKGROUND + MOTIF.replace("0.7", "0.9"), ":12: motif 'MA1': '0.9 0.1 0.1 0.1' is not four"),
        (HEAD + BACKGROUND + MOTIF.replace(" 0 0 0 1", " 0 0 1"), ":13: motif 'MA1': '0 0 1' is not four"),
        (HEAD + BACKGROUND + MOTIF.replace("w= 2", "w= 3"), "has 2 rows of four probabilities, not w= 3"),
        (HEAD + BACKGROUND + MOTIF.replace("alength= 4", "alength= 20"), "alength must be 4"),
        (HEAD + BACKGROUND + MOTIF.replace("nsites= 12", "nsites= 0"), "nsites a number above 0"),
        (HEAD + BACKGROUND + "MOTIF only\n", "motif 'only' has no letter-probability matrix"),
        (HEAD + BACKGROUND + MOTIF.partition("\n")[2], "a matrix without a MOTIF line"),
        (HEAD + BACKGROUND + "MOTIF\n", "a MOTIF line without a name"),
        (HEAD + BACKGROUND + "MOTIF lost\n" + MOTIF, ":11: motif 'lost' has no letter-probability matrix"),
        (HEAD + BACKGROUND + MOTIF.replace("w= 2", "w= 1"), "motif 'MA1' has 2 rows of four probabilities, not w= 1"),
        (HEAD + BACKGROUND + "MOTIF a\nletter-probability matrix: w= 0\n\n" + MOTIF, "motif 'a' has 0 rows"),
        (
            HEAD + BACKGROUND + "MOTIF a\nletter-probability matrix:\n1 0 0 0\n0 nan 1 0\n",
            ":13: motif 'a': '0 nan 1 0'",
        ),
        (HEAD + BACKGROUND + "MOTIF a\nletter-probability matrix:\n1 0 0 0\nx 0 1 0\n", ":13: motif 'a': 'x 0 1 0'"),
        *((text, f"is {name}, not MEME format (MEME format is needed") for name, text in OTHERS.values()),
    ],
)
def test_a_broken_file_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_meme(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_background_is_told_how_to_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A 0\.25 C 0\.25 G 0\.25 T 0\.25"):
        read_meme(written(tmp_path, HEAD + MOTIF))

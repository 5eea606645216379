"""Genes from GFF3, GTF and BED: names, blocks, what lies in a stretch, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from capsight.data.genome.contig_names import Aliases
from capsight.data.genome.genes import Gene, Stretch, read_genes
from capsight.data.genome.genome import Genome
from capsight.errors import InputError

STRETCH = Stretch("chr1", 100, 400)
GENE = Gene("ABC1", 119, 300, "-", ((119, 180), (249, 300)))
SGD = """##gff-version 3
chr1\tSGD\tchromosome\t1\t600\t.\t.\t.\tID=chr1
chr1\tSGD\tgene\t120\t300\t.\t-\t.\tID=YAL001C;Name=YAL001C;gene=ABC1
chr1\tSGD\tmRNA\t110\t310\t.\t-\t.\tID=YAL001C_mRNA;Parent=YAL001C
chr1\tSGD\tCDS\t120\t180\t.\t-\t0\tParent=YAL001C_mRNA
chr1\tSGD\tCDS\t250\t300\t.\t-\t0\tParent=YAL001C_mRNA
chr1\tSGD\texon\t120\t300\t.\t-\t.\tParent=YAL001C_mRNA
chr1\tSGD\tgene\t500\t550\t.\t+\t.\tID=far
chr2\tSGD\tgene\t120\t300\t.\t+\t.\tID=elsewhere
###
##FASTA
>chr1
ACGT
"""
GTF = """chr1\tx\tgene\t120\t300\t.\t-\t.\tgene_id "G1"; gene_name "ABC1";
chr1\tx\ttranscript\t120\t300\t.\t-\t.\tgene_id "G1"; transcript_id "T1";
chr1\tx\texon\t120\t180\t.\t-\t.\tgene_id "G1"; transcript_id "T1";
chr1\tx\texon\t250\t300\t.\t-\t.\tgene_id "G1"; transcript_id "T1";
chr1\tx\texon\t260\t300\t.\t-\t.\tgene_id "G1"; transcript_id "T2";
"""
TRANSCRIPTS = """chr1\tx\tmRNA\t120\t300\t.\t-\t.\tID=T1;Name=ABC1
chr1\tx\tCDS\t120\t180\t.\t-\t.\tParent=T1
chr1\tx\tCDS\t250\t300\t.\t-\t.\tParent=T1
"""
BED12 = "chr1\t119\t300\tABC1\t0\t-\t119\t300\t0\t2\t61,51,\t0,130,\nchr2\t1\t5\tb\t0\t+\t1\t5\t0\t1\t4\t0\n"


@pytest.fixture
def genome(write_fasta: Callable[..., Path]) -> Genome:
    return Genome.open(write_fasta({"chr1": "ACGT" * 150, "chr2": "ACGT" * 150}))


def genes(text: str, genome: Genome, tmp_path: Path, aliases: Aliases | None = None) -> list[Gene]:
    path = tmp_path / "genes.txt"
    path.write_text(text)
    return read_genes(path, genome, STRETCH, aliases)


@pytest.mark.parametrize("text", [SGD, GTF, TRANSCRIPTS, BED12], ids=["gff3", "gtf", "transcripts", "bed12"])
def test_a_gene_has_its_name_strand_and_blocks_in_every_format(text: str, genome: Genome, tmp_path: Path) -> None:
    assert genes(text, genome, tmp_path) == [GENE]


def test_genes_come_from_the_left_and_names_are_decoded(genome: Genome, tmp_path: Path) -> None:
    text = "chr1\tx\ttRNA_gene\t390\t450\t.\t+\t.\tID=t%28GCC%29\nchr1\tx\tpseudogene\t50\t101\t.\t.\t.\tID=p\n"
    assert genes(text, genome, tmp_path) == [
        Gene("p", 49, 101, ".", ((49, 101),)),
        Gene("t(GCC)", 389, 450, "+", ((389, 450),)),
    ]


def test_bed_of_few_columns_is_read(genome: Genome, tmp_path: Path) -> None:
    assert genes("chr1\t50\t101\nchr1\t50\t100\n", genome, tmp_path) == [Gene(".", 50, 101, ".", ((50, 101),))]


def test_other_names_of_contigs_are_known_by_aliases(genome: Genome, tmp_path: Path) -> None:
    text = SGD.replace("chr1\t", "NC_1\t").replace("chr2\t", "NC_2\t")
    assert genes(text, genome, tmp_path, Aliases({"NC_1": "chr1"})) == [GENE]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "genes.txt: holds no genes"),
        (SGD.replace("chr", ""), "has no contig of genome.fa: '1' is not in it, which has 'chr1'"),
        (SGD.replace("chr", "scaffold"), "has no contig of genome.fa: 'scaffold1' is not in it"),
        (SGD.replace("\t250\t300", "\t300\t250"), "genes.txt:6: 300 to 250 is no interval"),
        (SGD.replace("\t250\t", "\tx\t"), "genes.txt:6: start 'x' is not an integer"),
        (SGD.replace("\t250\t", "\t-5\t"), "genes.txt:6: start -5 is negative"),
        (SGD.replace("\tSGD\tCDS\t250", "\tCDS\t250"), "genes.txt:6: end '.' is not an integer"),
        (SGD.replace("SGD\tCDS\t250\t300", "SGD CDS 250 300"), "genes.txt:6: 6 columns, but GFF3 and GTF have 9"),
        (SGD.replace("300\t.\t-\t0", "300\t.\tminus\t0"), "genes.txt:6: strand 'minus' is neither"),
        ("chr1\t5\n", "is not BED: 2 columns"),
        ("chr1\t5\t5\n", "genes.txt:1: start 5 is not below end 5"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(text: str, message: str, genome: Genome, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        genes(text, genome, tmp_path)
    assert "\n" not in str(caught.value)

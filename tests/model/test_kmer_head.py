"""The head that reads words: what a word is, mixtures of bases, and how it stands beside the network's own answer."""

import logging
from itertools import product
from pathlib import Path

import pytest
import torch
from captum.attr import IntegratedGradients
from torch.nn import functional

from capsight.config import KmersConfig, LoraConfig, ModelConfig, TokenizerConfig
from capsight.errors import InputError
from capsight.model.checkpoint import ModelCard, load_classifier, save_model, start_classifier
from capsight.model.kmer_head import KmerHead
from capsight.model.llama import CapsightForClassification, architecture
from capsight.model.relora import add_adapters

LENGTH = 30  # no multiple of the pool
SHAPE = ModelConfig(width=16, mlp=24, layers=1, heads=2, stem=8, stem_layers=1, pool=4, dropout=0.0)
WORDS = KmersConfig(k=3, width=5)


def one_hot(codes: list[int] | torch.Tensor) -> torch.Tensor:
    """Base codes, N = 4, to shares of A, C, G and T."""
    return functional.one_hot(torch.as_tensor(codes), 5)[..., :4].float()


def head(k: int = 3) -> KmerHead:
    torch.manual_seed(0)
    return KmerHead(k, 5, n_positions=8, pool=4, dropout=0.0, n_labels=2).eval()


def tokens(n: int = 3) -> torch.Tensor:
    """Windows with an unknown base in the middle."""
    drawn = torch.randint(3, 7, (n, LENGTH), generator=torch.Generator().manual_seed(0))
    drawn[:, 15] = 1
    return drawn


def network(*, kmers: int, config: ModelConfig = SHAPE) -> CapsightForClassification:
    torch.manual_seed(0)
    shape = architecture(config, 7, LENGTH)
    shape.kmers, shape.kmer_width = kmers, 5
    return CapsightForClassification(shape).eval()


def write(model: CapsightForClassification, folder: Path, **more: object) -> Path:
    folder.mkdir()
    save_model(model, ModelCard(task="classification", length=LENGTH, tokenizer=TokenizerConfig(**more)), folder)
    return folder


def test_every_base_has_the_sum_of_the_words_around_it() -> None:
    reader = head()
    ones, twos, threes = reader.words
    a, c, g, n, t = 0, 1, 2, 4, 3
    read = reader.read(one_hot([[a, c, g, n, t, t]]))[0]
    order = {word: i for size in (1, 2, 3) for i, word in enumerate(product(range(4), repeat=size))}
    expected = torch.stack(
        [
            ones[a] + twos[order[a, c]],
            ones[c] + twos[order[c, g]] + threes[order[a, c, g]],  # the middle of three, the first of two
            ones[g],
            torch.zeros(5),
            ones[t] + twos[order[t, t]],
            ones[t],
        ]
    )
    torch.testing.assert_close(read, expected)


def test_mixtures_of_bases_have_the_product_of_their_shares() -> None:
    reader = head()
    mixed = torch.softmax(torch.randn(2, LENGTH, 4), dim=2)
    mixed[:, 3:9] = one_hot([0, 1, 2, 3, 4, 0])
    ones, twos, threes = reader.words
    expected = mixed @ ones
    expected[:, :-1] += torch.einsum("nla,nlb,abw->nlw", mixed[:, :-1], mixed[:, 1:], twos.unflatten(0, (4, 4)))
    triple = (mixed[:, :-2], mixed[:, 1:-1], mixed[:, 2:])
    expected[:, 1:-1] += torch.einsum("nla,nlb,nlc,abcw->nlw", *triple, threes.unflatten(0, (4, 4, 4)))
    torch.testing.assert_close(reader.read(mixed), expected)


def test_integrated_gradients_add_up_through_words() -> None:
    model = network(kmers=3)
    with torch.no_grad():
        for table in model.kmer_head.words:
            table.mul_(100)
    target, start = (model.embed(t) for t in (tokens(), tokens().roll(1, 0)))

    def words(embedded: torch.Tensor) -> torch.Tensor:
        said = model(embedded=embedded).opinions[1]
        return said[:, 1] - said[:, 0]

    scores = IntegratedGradients(words).attribute(target, start, n_steps=100)
    with torch.no_grad():
        gain = words(target) - words(start)
    assert gain.abs().min() > 1e-4
    torch.testing.assert_close(scores.sum(dim=(1, 2)).float(), gain, rtol=0.01, atol=1e-5)


def test_the_answer_is_the_mean_of_both_and_the_network_is_left_as_it_was() -> None:
    plain, more = network(kmers=0), network(kmers=3)
    report = more.load_state_dict(plain.state_dict(), strict=False)
    assert {name.partition(".")[0] for name in report.missing_keys} == {"kmer_head"}
    said, alone = more(tokens()), plain(tokens())
    assert alone.opinions == ()
    torch.testing.assert_close(said.opinions[0], alone.logits)
    torch.testing.assert_close(said.opinions[1], more.kmer_head(one_hot(torch.where(tokens() == 1, 4, tokens() - 3))))
    torch.testing.assert_close(said.logits, torch.stack(said.opinions).mean(dim=0))


def test_gradients_reach_the_bases_and_every_weight() -> None:
    model = network(kmers=3)
    embedded = model.embed(tokens()).requires_grad_()
    model.kmer_head(embedded[..., -4:]).square().sum().backward()
    assert (embedded.grad[..., -4:].abs().sum(dim=(0, 2)) > 0).all()
    model.zero_grad()
    model(tokens()).logits.square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_adapters_leave_the_head_to_be_trained_in_full() -> None:
    adapted = add_adapters(network(kmers=3), LoraConfig(rank=2, trainable=("head",)))
    trained = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert sum("kmer_head" in name and ".words." in name for name in trained) == 3
    said = adapted.eval()(input_ids=tokens()).logits
    torch.testing.assert_close(adapted.merge_and_unload()(tokens()).logits, said)


def test_folders_keep_the_head_and_training_starts_from_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = network(kmers=3)
    folder = write(model, tmp_path / "m")
    again, _ = load_classifier(folder)
    assert torch.equal(again(tokens()).logits, model(tokens()).logits)
    assert torch.equal(start_classifier(folder, 2, kmers=WORDS).eval()(tokens()).logits, again(tokens()).logits)
    with caplog.at_level(logging.INFO):
        assert start_classifier(folder, 2).kmer_head is None
    assert "the head for words of" in caplog.text
    assert "is left out: kmers is not set" in caplog.text
    fresh = start_classifier(write(network(kmers=0), tmp_path / "none"), 2, kmers=WORDS)
    assert [len(table) for table in fresh.kmer_head.words] == [4, 16, 64]


def test_a_head_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    folder = write(network(kmers=3), tmp_path / "m")
    for other in (KmersConfig(k=4, width=5), KmersConfig(k=3, width=6)):
        with pytest.raises(InputError, match=f"k 3 and width 5, not {other.k} and {other.width}"):
            start_classifier(folder, 2, kmers=other)


@pytest.mark.parametrize(("stem", "tokenizer"), [(0, {}), (8, {"k": 2, "stride": 2})])
def test_a_network_that_reads_no_single_bases_is_refused(tmp_path: Path, stem: int, tokenizer: dict[str, int]) -> None:
    config = ModelConfig(width=16, mlp=24, layers=1, heads=2, stem=stem, pool=4)
    folder = write(network(kmers=0, config=config), tmp_path / "m", **tokenizer)
    with pytest.raises(InputError, match="set kmers to false, or pretrain with"):
        start_classifier(folder, 1, kmers=WORDS)


@pytest.mark.parametrize("k", [-1, 9])
def test_a_word_length_that_memory_cannot_hold_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 8 bases, not {k}"):
        network(kmers=k)

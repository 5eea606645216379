"""The track network: what its answers depend on, and what its shape is."""

from typing import Any

import pytest
import torch

from capsight.config.track import TrackConfig
from capsight.model.track import N_CODE, TrackNetwork, one_hot

SHAPES = [
    TrackConfig(width=8, first_kernel=15, kernel=3, dilations=(1, 2, 4, 8), head_kernel=5, average_radius=0),
    TrackConfig(width=4, first_kernel=1, kernel=5, dilations=(3,), head_kernel=1, average_radius=0),
    TrackConfig(width=8, first_kernel=7, kernel=1, dilations=(), head_kernel=3, average_radius=0),
    TrackConfig(width=8, first_kernel=7, kernel=3, dilations=(1, 2), head_kernel=15, average_radius=4),
    TrackConfig(width=8, first_kernel=7, kernel=3, dilations=(1, 2), head_kernel=15, average_radius=16),
]
HALOS = [7 + 15 + 2, 6, 3 + 1, 3 + 3 + 7, 3 + 3 + 16]


KMERS = TrackConfig(
    width=4,
    first_kernel=3,
    dilations=(),
    head_kernel=1,
    average_radius=0,
    kmer=3,
    stretch=16,
    stretches=(2, 1),
    hidden=5,
)


def network(config: TrackConfig, seed: int = 0) -> TrackNetwork:
    torch.manual_seed(seed)
    made = TrackNetwork(config).eval()
    with torch.no_grad():
        for weights in made.parameters():  # biases that matter, and answers that differ
            weights += 0.1 * torch.randn_like(weights)
    return made


def bases(n: int, length: int, seed: int = 0) -> torch.Tensor:
    return one_hot(torch.randint(0, 5, (n, length), generator=torch.Generator().manual_seed(seed)))


def test_one_hot_has_no_channel_for_n() -> None:
    expected = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert one_hot(torch.tensor([[0, 1, 2, 3, N_CODE]]))[0].tolist() == expected


@pytest.mark.parametrize(("config", "halo"), list(zip(SHAPES, HALOS, strict=True)))
def test_an_answer_depends_on_the_bases_within_the_halo_alone(config: TrackConfig, halo: int) -> None:
    model = network(config)
    assert model.halo == halo
    x = bases(2, 200)
    with torch.no_grad():
        whole = model(x)
        part = model(x[:, 60 : 80 + 2 * halo])
    for everything, alone in zip(whole, part, strict=True):
        assert everything.shape == (2, 200 - 2 * halo)
        torch.testing.assert_close(everything[:, 60:80], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("config", "halo"), list(zip(SHAPES, HALOS, strict=True)))
def test_the_halo_is_no_larger_than_need_be(config: TrackConfig, halo: int) -> None:
    x = bases(30, 2 * halo + 1).requires_grad_()  # some, for a path through the network may be shut
    answer = network(config)(x)
    sum(answer).sum().backward()
    touched = x.grad.abs().sum(dim=(0, 2)) > 0  # type: ignore[union-attr]
    if config.kernel == 3 and config.average_radius < 16:  # every base between is touched, too
        assert touched[[0, -1]].all()
    assert touched[halo]


def test_no_answer_depends_on_other_sequences_of_the_batch_even_in_training() -> None:
    model = network(SHAPES[0].model_copy(update={"dropout": 0.0})).train()
    x = bases(4, 100)
    torch.testing.assert_close(model(x[1:2]).log_tags, model(x).log_tags[1:2], atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_alone() -> None:
    model = network(SHAPES[0])
    x = bases(1, 100)
    assert torch.equal(model(x).log_tags, model(x).log_tags)
    model.train()
    assert not torch.equal(model(x).log_tags, model(x).log_tags)


def test_a_sequence_that_is_no_longer_than_its_halos_is_refused() -> None:
    with pytest.raises(ValueError, match="48 bases are no more than the halo of 24"):
        network(SHAPES[0])(bases(1, 48))


@pytest.mark.parametrize(
    ("settings", "halo"),
    [
        ({}, 32),
        ({"stretches": (1, 3)}, 3 * 16 + 1),
        ({"stretches": (0, 1), "dilations": (32,), "average_radius": 64}, 97),
    ],
)
def test_k_mers_are_read_from_their_stretches_alone(settings: dict[str, Any], halo: int) -> None:
    model = network(KMERS.model_copy(update=settings))
    assert model.halo == halo
    x = bases(2, 2 * halo + 50)
    with torch.no_grad():
        whole = model(x)
        for i in (0, 7, 49):  # one answer alone is added up in another way
            for everything, alone in zip(whole, model(x[:, i : i + 2 * halo + 1]), strict=True):
                torch.testing.assert_close(everything[:, i : i + 1], alone, atol=1e-5, rtol=1e-5)


def test_the_order_of_k_mers_in_a_stretch_does_not_matter_and_their_stretch_does() -> None:
    model = network(KMERS.model_copy(update={"kmer": 1}))
    assert model.contents is not None
    x = bases(1, 2 * 32 + 1)
    within, across = x.clone(), x.clone()
    within[:, :16] = within[:, :16].flip(1)
    across[:, :32] = across[:, :32].flip(1)
    with torch.no_grad():
        answers = [model.contents(each) for each in (x, within, across)]
    assert answers[0].shape == (1, 1, 2)
    torch.testing.assert_close(answers[0], answers[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(answers[0], answers[2], atol=1e-3)


def test_a_k_mer_that_holds_n_is_worth_nothing() -> None:
    model = network(KMERS)
    assert model.contents is not None
    nothing = torch.zeros(1, 65, 4)
    two = nothing.clone()
    two[:, 10:12, 1] = 1
    three = nothing.clone()
    three[:, 10:13, 1] = 1
    with torch.no_grad():
        found = [model.contents(each) for each in (nothing, two, three)]
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2], atol=1e-4)


def test_k_mers_are_left_out_at_random_in_training_alone() -> None:
    model = network(KMERS.model_copy(update={"dropout": 0.0}))
    assert model.contents is not None
    x = bases(200, 65)
    x[:] = x[:1]
    with torch.no_grad():
        whole = model.contents(x)
        assert torch.equal(whole[:1].expand_as(whole), whole)
        some = model.contents.train()(x)
    assert some.std(dim=0).min() > 0.01
    assert "kmer_dropout" in TrackConfig.model_fields


@pytest.mark.parametrize("length", [1, 20])
def test_k_mers_have_gradients_of_bases_and_the_same_answers_with_them(length: int) -> None:
    model = network(KMERS)
    assert model.contents is not None
    x = bases(3, 64 + length)
    with torch.no_grad():
        expected = model.contents(x)
    asked = x.clone().requires_grad_()
    found = model.contents(asked)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found.sum().backward()
    assert asked.grad is not None
    changed = x.clone()
    changed[0, 30] += 0.5 * torch.eye(4)[2]  # one base is linear, as long as no hidden channel opens or shuts
    small = (model.contents((x + 1e-3 * (changed - x)).requires_grad_()) - expected).sum() / 1e-3
    torch.testing.assert_close(small.detach(), 0.5 * asked.grad[0, 30, 2], atol=1e-2, rtol=2e-2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stretch": 100}, "stretch must be a power of two, not 100"),
        ({"stretches": "0,0"}, "stretches: 1 to 64 in all, not 0"),
        ({"stretches": "40,40"}, "stretches: 1 to 64 in all, not 80"),
    ],
)
def test_stretches_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrackConfig.model_validate({"kmer": 5} | settings)


@pytest.mark.parametrize("setting", ["first_kernel", "kernel", "head_kernel"])
def test_even_kernels_are_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=f"{setting} must be odd, not 4"):
        TrackConfig.model_validate({setting: 4})


@pytest.mark.parametrize("average", [1, 2, 16])
def test_averages_are_means_of_the_bases_from_each_on_and_of_those_before(average: int) -> None:
    model = network(SHAPES[0].model_copy(update={"average_radius": average}))
    states = torch.randn(2, 40 + 2 * model.margin, 8, generator=torch.Generator().manual_seed(1))
    assert model.averaged is not None
    with torch.no_grad():
        values = model.averaged(states)
        answer = model.answer(states, states)
        model.averaged.weight.zero_()
        model.averaged.bias.zero_()  # type: ignore[union-attr]
        without = model.answer(states, states)
    assert torch.equal(answer.log_summits, without.log_summits)
    for i in range(40):
        at = i + model.margin
        mean = values[:, at : at + average, :2].mean(1) + values[:, at - average : at, 2:].mean(1)
        torch.testing.assert_close((answer.log_tags - without.log_tags)[:, i], mean[:, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close((answer.log_strength - without.log_strength)[:, i], mean[:, 1], atol=1e-5, rtol=1e-5)


def test_averages_are_over_powers_of_two() -> None:
    with pytest.raises(ValueError, match="power of two or 0, not 500"):
        TrackConfig(average_radius=500)


def test_the_network_starts_from_a_plausible_rate() -> None:
    torch.manual_seed(0)
    answer = TrackNetwork(TrackConfig(width=32, dilations=(1, 2, 4, 8, 16))).eval()(bases(1, 2000))
    assert 0.005 < answer.log_tags.exp().mean() < 0.5
    assert answer.log_summits.exp().mean() < 0.01

import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch.nn.functional import cosine_similarity

from vidssl.losses import global_local, instance_contrast, local_local, nt_xent

TAU = 0.3


def embeddings(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slow_nt_xent(a, b, temperature):
    """Row by row, as SimCLR's Eq. 1 reads."""
    rows = torch.cat([a, b])
    losses = []
    for i in range(len(rows)):
        partner = (i + len(a)) % len(rows)
        alike = [cosine_similarity(rows[i], row, dim=0) / temperature for row in rows]
        others = torch.stack([alike[j] for j in range(len(rows)) if j != i])
        losses.append(torch.logsumexp(others, 0) - alike[partner])
    return sum(losses) / len(losses)


def slow_instance_contrast(g, z, temperature):
    views = [(a, k) for a in range(2) for k in range(z.shape[2])]
    pairs = [(v, w) for v in views for w in views if v != w]
    local = [slow_nt_xent(z[a, :, k], z[b, :, m], temperature) for (a, k), (b, m) in pairs]
    return (slow_nt_xent(g[0], g[1], temperature) + sum(local) / len(local)) / 2


def slow_global_local(h, z, temperature):
    losses = []
    for a in range(2):
        for b in range(2):
            for video in range(h.shape[1]):
                alike = cosine_similarity(h[a, video][:, None], z[b, video][None], dim=-1)
                for matrix in (alike / temperature, alike.T / temperature):
                    losses.append(-matrix.log_softmax(dim=1).diagonal().mean())
    return sum(losses) / len(losses)


@pytest.mark.parametrize("videos", [1, 2, 5])
def test_nt_xent_is_the_slow_loop(videos):
    a, b = embeddings(videos, 6), embeddings(videos, 6, seed=1)
    torch.testing.assert_close(nt_xent(a, b, TAU), slow_nt_xent(a, b, TAU))


def test_nt_xent_closed_form():
    """Orthogonal pairs: the positive at 1 / tau, 2B - 2 negatives at 0."""
    eye = torch.eye(4, dtype=torch.float64)
    expected = math.log(1 + 6 * math.exp(-1 / TAU))
    assert nt_xent(eye, 7 * eye, TAU).item() == pytest.approx(expected)


def test_nt_xent_of_one_video_is_nought_and_has_gradients():
    a = embeddings(1, 4).requires_grad_()
    loss = nt_xent(a, embeddings(1, 4, seed=1), TAU)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert a.grad.abs().max() < 1e-12


@pytest.mark.parametrize("times", [1, 2, 4])
def test_instance_contrast_is_the_slow_loop(times):
    g, z = embeddings(2, 3, 5), embeddings(2, 3, times, 5, seed=1)
    torch.testing.assert_close(instance_contrast(g, z, TAU), slow_instance_contrast(g, z, TAU))


def test_local_local_is_nt_xent_within_each_video():
    z = embeddings(2, 3, 4, 5)
    slow = sum(slow_nt_xent(z[0, v], z[1, v], TAU) for v in range(3)) / 3
    torch.testing.assert_close(local_local(z, TAU), slow)


def test_local_local_does_not_look_at_other_videos():
    z = embeddings(2, 3, 4, 5)
    alone = torch.stack([local_local(z[:, v : v + 1], TAU) for v in range(3)])
    torch.testing.assert_close(local_local(z, TAU), alone.mean())


def test_global_local_is_the_slow_loop():
    h, z = embeddings(2, 3, 4, 5), embeddings(2, 3, 4, 5, seed=1)
    torch.testing.assert_close(global_local(h, z, TAU), slow_global_local(h, z, TAU))


def test_times_that_look_alike_are_at_chance():
    """A collapsed network: ln(2N - 1) + ln N, and the instances at ln(2B - 1)."""
    z = torch.ones(2, 6, 4, 8)
    assert local_local(z, TAU).item() == pytest.approx(math.log(7), abs=1e-5)
    assert global_local(z, z, TAU).item() == pytest.approx(math.log(4), abs=1e-5)
    assert instance_contrast(z[:, :, 0], z, TAU).item() == pytest.approx(math.log(11), abs=1e-5)


def test_sizes_do_not_change_the_losses():
    """Means over rows: a batch repeated over two folds weighs the same within videos."""
    h, z = embeddings(2, 3, 4, 5), embeddings(2, 3, 4, 5, seed=1)
    twice = torch.cat([z, z], dim=1)
    torch.testing.assert_close(local_local(twice, TAU), local_local(z, TAU))
    both = global_local(torch.cat([h, h], dim=1), twice, TAU)
    torch.testing.assert_close(both, global_local(h, z, TAU))


def test_the_length_of_embeddings_does_not_count():
    h, z = embeddings(2, 3, 4, 5), embeddings(2, 3, 4, 5, seed=1)
    torch.testing.assert_close(local_local(9 * z, TAU), local_local(z, TAU))
    torch.testing.assert_close(global_local(h, 9 * z, TAU), global_local(h, z, TAU))
    torch.testing.assert_close(
        instance_contrast(9 * h[:, :, 0], z, TAU), instance_contrast(h[:, :, 0], z, TAU)
    )


def test_gradients():
    h, z = embeddings(2, 2, 3, 4).requires_grad_(), embeddings(2, 2, 3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda h, z: nt_xent(h[0, 0], z[0, 0], TAU), (h, z))
    assert torch.autograd.gradcheck(lambda z: local_local(z, TAU), z)
    assert torch.autograd.gradcheck(lambda h, z: global_local(h, z, TAU), (h, z))
    assert torch.autograd.gradcheck(lambda h, z: instance_contrast(h[:, :, 0], z, TAU), (h, z))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: nt_xent(torch.ones(3, 4), torch.ones(2, 4), TAU), r"b must have shape \(B=3"),
        (lambda: nt_xent(torch.ones(3), torch.ones(3), TAU), "a must have shape"),
        (lambda: nt_xent(torch.ones(3, 4), torch.ones(3, 4), 0), "temperature must be above 0"),
        (lambda: local_local(torch.ones(3, 4, 5), TAU), "z must have shape"),
        (lambda: local_local(torch.ones(3, 2, 4, 5), TAU), "z must have shape"),
        (lambda: local_local(torch.ones(2, 2, 4, 5), -1.0), "temperature must be above 0"),
        (lambda: global_local(torch.ones(2, 2, 2, 5), torch.ones(2, 2, 4, 5), TAU), "N=2"),
        (lambda: instance_contrast(torch.ones(2, 3, 5), torch.ones(2, 2, 4, 5), TAU), "B=3"),
    ],
)
def test_wrong_shapes_are_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def _loss_of_one_process(rank, size, store, results):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    z = embeddings(2, 4, 3, 5).chunk(size, dim=1)[rank].clone().requires_grad_()
    loss = instance_contrast(z[:, :, 0], z, TAU)
    loss.backward()
    results[rank] = (loss.item(), (z.grad / size).numpy())
    dist.destroy_process_group()


def test_two_processes_see_each_others_videos(tmp_path):
    """Their mean loss and averaged gradients are those of one process with the whole batch."""
    whole = embeddings(2, 4, 3, 5).requires_grad_()
    loss = instance_contrast(whole[:, :, 0], whole, TAU)
    loss.backward()
    with processes.Manager() as manager:
        results = manager.dict()
        processes.spawn(_loss_of_one_process, (2, tmp_path / "store", results), nprocs=2)
        (first, left), (second, right) = results[0], results[1]
    assert (first + second) / 2 == pytest.approx(loss.item())
    gathered = torch.cat([torch.from_numpy(left), torch.from_numpy(right)], dim=1)
    torch.testing.assert_close(gathered, whole.grad)

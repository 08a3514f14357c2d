"""Small networks that cut, fold and shuffle channels as code does that knows their width, or only thinks so."""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from .small import block

WIDTH = 24


class Piece(nn.Module):
    """What stands between the stem and the layer behind it: layers by name, and what the code does."""

    def __init__(self, body: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.body = body
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


class Around(nn.Module):
    """A stem, a piece, a Conv-BN-SiLU, and an output; what stands before the piece is a BatchNorm of its own."""

    def __init__(self, piece: Piece, out: int = WIDTH) -> None:
        super().__init__()
        self.stem, self.before = block(3, 8, 3, stride=2), block(8, WIDTH, 3, stride=2)
        self.piece, self.after, self.head = piece, block(out, 12), nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.after(self.piece(self.before(self.stem(x)))))


def bare(width: int = WIDTH, out: int = WIDTH) -> nn.Sequential:
    """Convolution and BatchNorm, as attention's projections are."""
    return block(width, out)[:2]


def interleave(x: Tensor, groups: int) -> Tensor:
    b, c, h, w = x.shape
    return x.view(b, groups, c // groups, h, w).transpose(1, 2).reshape(b, c, h, w)


def unflattened(x: Tensor) -> Tensor:
    return x.unflatten(1, (3, -1)).transpose(1, 2).flatten(1, 2)


def fixed_inside(x: Tensor) -> Tensor:
    b, _, h, w = x.shape
    return x.view(b, -1, 8, h, w).transpose(1, 2).reshape(b, -1, h, w)


def fixed_inside_by_width(x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    return x.reshape(b, c // 4, 4, h, w).permute(0, 2, 1, 3, 4).reshape(b, c, h, w).contiguous()


def there_and_back(x: Tensor) -> Tensor:
    return interleave(interleave(x, 2), 2)


def even_and_odd(x: Tensor) -> Tensor:
    return torch.cat([x[:, ::2].tanh(), x[:, 1::2]], 1)


def by_pairs(x: Tensor) -> Tensor:
    b, c, h, w = x.size()
    y = x.reshape(b * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
    return torch.cat((y[0], y[1].relu()), 1)


def of_stack(s: Any, x: Tensor) -> Tensor:
    return torch.stack([s.a(x), s.b(x)], 2).flatten(1, 2)


SHUFFLES: dict[str, Callable[[], Piece]] = {
    "interleave 2": lambda: Piece(lambda _, x: interleave(x, 2)),
    "interleave 3": lambda: Piece(lambda _, x: interleave(x, 3)),
    "unflatten": lambda: Piece(lambda _, x: unflattened(x)),
    "fixed inside": lambda: Piece(lambda _, x: fixed_inside(x)),
    "fixed inside, by width": lambda: Piece(lambda _, x: fixed_inside_by_width(x)),
    "twice": lambda: Piece(lambda _, x: there_and_back(x)),
    "channel_shuffle": lambda: Piece(lambda _, x: F.channel_shuffle(x, 4)),
    "nn.ChannelShuffle": lambda: Piece(lambda s, x: s.shuffle(x), shuffle=nn.ChannelShuffle(3)),
    "of a cat": lambda: Piece(
        lambda s, x: interleave(torch.cat((s.a(x), s.b(x)), 1), 2), a=block(WIDTH, 12), b=block(WIDTH, 12, 3)
    ),
    "of an uneven cat": lambda: Piece(
        lambda s, x: interleave(torch.cat((s.a(x), s.b(x)), 1), 2), a=block(WIDTH, 8), b=block(WIDTH, 16, 3)
    ),
    "even and odd": lambda: Piece(lambda _, x: even_and_odd(x)),
    "by pairs": lambda: Piece(lambda _, x: by_pairs(x)),
    "a stack": lambda: Piece(of_stack, a=block(WIDTH, 12), b=block(WIDTH, 12)),
}


def halves(_: Any, x: Tensor) -> Tensor:
    h = x.shape[1] // 2
    return torch.cat([x[:, h:], x[:, :h].tanh()], 1)


def quarters(_: Any, x: Tensor) -> Tensor:
    c = x.size(1)
    a, b = torch.split(x, [c // 4, c - c // 4], 1)
    return torch.cat([a.tanh(), b], 1)


def thirds(_: Any, x: Tensor) -> Tensor:
    n = x.shape[1] // 3
    return torch.cat([x[:, :n], x[:, n : 2 * n].tanh(), x[:, 2 * n :].relu()], 1)


def from_the_end(_: Any, x: Tensor) -> Tensor:
    h = x.shape[1] // 2
    return torch.cat([x[:, -h:], x[:, :-h].relu()], 1)


def narrowed(_: Any, x: Tensor) -> Tensor:
    h = x.size(1) // 2
    return torch.cat([x.narrow(1, h, h).tanh(), x.narrow(1, 0, h)], 1)


def tensor_split(_: Any, x: Tensor) -> Tensor:
    a, b, c = x.tensor_split(3, 1)
    return torch.cat([a, b.tanh(), c.relu()], 1)


def tensor_split_at(_: Any, x: Tensor) -> Tensor:
    a, b = torch.tensor_split(x, [x.shape[1] // 3], 1)
    return torch.cat([a.tanh(), b.relu()], 1)


def in_a_list(s: Any, x: Tensor) -> Tensor:
    a, b = x.split(s.sizes, 1)
    return torch.cat([s.cv(a), b], 1)


def in_a_dict(s: Any, x: Tensor) -> Tensor:
    a, b = x[:, : s.sizes["active"]], x[:, s.sizes["active"] :]
    return torch.cat([s.cv(a), b], 1)


def of_a_layer(s: Any, x: Tensor) -> Tensor:
    y = torch.cat([s.cv(x), x], 1)
    return y[:, s.cv[0].out_channels :] + y[:, -x.shape[1] :]


def of_a_weight(s: Any, x: Tensor) -> Tensor:
    y = torch.cat([s.cv(x), x], 1)
    a, b = y.split([s.cv[0].weight.shape[0], s.cv[0].weight.size(1)], 1)
    return torch.cat([b, a.tanh()], 1)


class Halved(Piece):
    """A size that is a property of another."""

    @property
    def half(self) -> int:
        return self.dim // 2

    def __init__(self) -> None:
        super().__init__(lambda s, x: torch.cat([x[:, s.half :], x[:, : s.half].tanh()], 1))
        self.dim = WIDTH


def twice_half(s: Any, x: Tensor) -> Tensor:
    return torch.cat([x[:, 2 * s.third :], x[:, : 2 * s.third].tanh()], 1)


CUTS: dict[str, Callable[[], Piece]] = {
    "halves": lambda: Piece(halves),
    "quarters": lambda: Piece(quarters),
    "thirds": lambda: Piece(thirds),
    "from the end": lambda: Piece(from_the_end),
    "narrow": lambda: Piece(narrowed),
    "tensor_split": lambda: Piece(tensor_split),
    "tensor_split at": lambda: Piece(tensor_split_at),
    "list": lambda: Piece(in_a_list, sizes=[8, 16], cv=block(8, 8)),
    "dict": lambda: Piece(in_a_dict, sizes={"active": 8}, cv=block(8, 8)),
    "property": Halved,
    "share": lambda: Piece(twice_half, third=8),
    "layer": lambda: Piece(of_a_layer, cv=block(WIDTH, 8)),
    "weight": lambda: Piece(of_a_weight, cv=block(WIDTH, 8)),
    "c1 and c2 unread": lambda: Piece(quarters, c1=6, c2=18),
    "a divisor": lambda: Piece(lambda s, x: halves(s, x) / s.temperature, temperature=12),
}


def heads_apart(s: Any, x: Tensor) -> Tensor:
    """Projections of their own, cut by the width of the input, into its shape again."""
    b, c, h, w = x.shape
    q, k, v = (f(x).view(b, s.heads, c // s.heads, h * w) for f in (s.q, s.k, s.v))
    return (v @ (q.transpose(-2, -1) @ k).softmax(-1).transpose(-2, -1)).reshape(b, c, h, w)


def heads_inferred(s: Any, x: Tensor) -> Tensor:
    b, _, h, w = x.shape
    q, k, v = (f(x).view(b, s.heads, -1, h * w) for f in (s.q, s.k, s.v))
    return (v @ (q.transpose(-2, -1) @ k).softmax(-1)).reshape(b, -1, h, w)


def three_of_one(s: Any, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    q, k, v = s.qkv(x).reshape(b, 3, s.heads, c // s.heads, h * w).unbind(1)
    return (v @ (q.transpose(-2, -1) @ k).softmax(-1)).reshape(b, c, h, w)


def three_selected(s: Any, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    qkv = s.qkv(x).flatten(2).transpose(1, 2).reshape(b, h * w, 3, s.heads, c // s.heads).permute(2, 0, 3, 1, 4)
    q, k, v = qkv[0], qkv[1], qkv[2]
    return ((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(b, h * w, c).mT.reshape(b, c, h, w)


def three_chunks(s: Any, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    q, k, v = (t.unflatten(1, (s.heads, -1)).flatten(3) for t in s.qkv(x).chunk(3, 1))
    return torch.einsum("bhdn,bhmn->bhdm", v, (q.transpose(-2, -1) @ k).softmax(-1)).flatten(1, 2).view(b, c, h, w)


def single_head(s: Any, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    q, k, v = s.q(x).flatten(2), s.k(x).flatten(2), s.v(x).flatten(2)
    return (v @ (q.transpose(1, 2) @ k).softmax(-1)).view(b, c, h, w)


def windows(s: Any, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    n = s.window
    y = x.view(b, c, h // n, n, w // n, n).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, n, n)
    y = s.cv(y)
    return y.view(b, h // n, w // n, c, n, n).permute(0, 3, 1, 4, 2, 5).reshape(b, c, h, w)


def grouped_in_the_batch(s: Any, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    y = x.view(b * s.groups, c // s.groups, h, w)
    y = y * y.mean((2, 3), keepdim=True).sigmoid()
    return y.view(b, c, h, w)


def projections() -> dict[str, nn.Module]:
    return {name: bare() for name in "qkv"}


HEADS: dict[str, Callable[[], Piece]] = {
    "apart": lambda: Piece(heads_apart, heads=4, **projections()),
    "eight of three": lambda: Piece(heads_apart, heads=8, **projections()),
    "inferred": lambda: Piece(heads_inferred, heads=3, **projections()),
    "three of one": lambda: Piece(three_of_one, heads=4, qkv=bare(out=3 * WIDTH)),
    "three selected": lambda: Piece(three_selected, heads=4, qkv=bare(out=3 * WIDTH)),
    "three chunks": lambda: Piece(three_chunks, heads=4, qkv=bare(out=3 * WIDTH)),
    "single": lambda: Piece(single_head, **projections()),
    "windows": lambda: Piece(windows, window=8, cv=block(WIDTH, WIDTH)),
    "in the batch": lambda: Piece(grouped_in_the_batch, groups=4),
}


def half_in_place(_: Any, x: Tensor) -> Tensor:
    a, _ = x.chunk(2, 1)
    a.tanh_()
    return x


def part_written(s: Any, x: Tensor) -> Tensor:
    c = x.shape[1] // 3
    x = x.clone()
    x[:, :c] = s.cv(x[:, :c])
    return x


def into_zeros(s: Any, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    y = s.cv(x)
    out = torch.zeros(b, c + y.shape[1], h, w)
    out[:, :c] = x
    out[:, c:] = y
    return out


def shifted_quarters(_: Any, x: Tensor) -> Tensor:
    c = x.shape[1] // 4
    y = x.clone()
    y[:, :c, 1:] = x[:, :c, :-1]
    y[:, c : 2 * c, :, 1:] = x[:, c : 2 * c, :, :-1]
    return y


def view_scaled(_: Any, x: Tensor) -> Tensor:
    x.flatten(2).mul_(0.5)
    return x


IN_PLACE: dict[str, Callable[[], Piece]] = {
    "half": lambda: Piece(half_in_place),
    "part": lambda: Piece(part_written, cv=block(8, 8)),
    "zeros": lambda: Piece(into_zeros, cv=block(WIDTH, 8)),
    "shift": lambda: Piece(shifted_quarters),
    "view": lambda: Piece(view_scaled),
}


def half_sigmoid(_: Any, x: Tensor) -> Tensor:
    a, _ = x.chunk(2, 1)
    a.sigmoid_()
    return x


def position(s: Any, x: Tensor) -> Tensor:
    t = x.flatten(2)
    t += s.p
    return x


def base_after_view(_: Any, x: Tensor) -> Tensor:
    t = x.flatten(2)
    x.exp_()
    return t.view(x.shape)


def overwritten(_: Any, x: Tensor) -> Tensor:
    x[:, 3:7] = 1.0
    return x


SPOILED: dict[str, Callable[[], Piece]] = {
    "half": lambda: Piece(half_sigmoid),
    "position": lambda: Piece(position, p=nn.Parameter(torch.ones(1, 1, 1))),
    "base": lambda: Piece(base_after_view),
    "constant": lambda: Piece(overwritten),
    "other groups": lambda: Piece(lambda _, x: interleave(interleave(x, 4), 6)),
    "first": lambda: Piece(lambda _, x: x * x[:, :1]),
    "last": lambda: Piece(lambda _, x: x * x[:, -1:]),
    "each": lambda: Piece(lambda _, x: torch.stack([c * (i + 1) for i, c in enumerate(x.unbind(1))], 1)),
}

#!/usr/bin/env python3
"""Writes checkpoints/: one linear layer, beside what training scripts save with it.

    venv/bin/python generate_checkpoints.py      # seconds
"""

import collections
import pickle
import zipfile

import torch
from torch import nn

import files
from hashed import uniform

FOLDER = files.HERE / "checkpoints"


class Meter:
    """An object of a training script: it has a tensor, and is not read."""

    def __init__(self):
        self.values, self.last = torch.zeros(3), collections.deque([1, 2], maxlen=5)


def network():
    net = nn.Sequential(collections.OrderedDict(fc=nn.Linear(2, 3)))
    for name, tensor in net.state_dict().items():
        tensor.copy_(uniform(name, tensor.shape, -1, 1))
    return net.eval()


def objects(net):
    history = collections.defaultdict(list, loss=[torch.tensor(1.0)])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return dict(state_dict=net.state_dict(), history=history, queue=collections.deque([torch.ones(2)]), meter=Meter(),
                scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), optimizer=optimizer.state_dict(),
                device=torch.device("cpu"), dtype=torch.float16, size=torch.Size([1, 2]), epoch=3)


def odd_tensors(net):
    return dict(model=net.state_dict(), quantized=torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.quint8),
                sparse=torch.eye(3).to_sparse(), complex=torch.ones(2, dtype=torch.complex64),
                eight_bits=torch.ones(4).to(torch.float8_e4m3fn), nested=[dict(a=(torch.ones(1),))])


def main():
    FOLDER.mkdir(exist_ok=True)
    net = network()
    state = net.state_dict()
    torch.save(objects(net), FOLDER / "objects.pth")
    torch.save(objects(net), FOLDER / "objects_before_1_6.pth", _use_new_zipfile_serialization=False)
    torch.save(odd_tensors(net), FOLDER / "odd_tensors.pth")
    torch.save(net, FOLDER / "whole.pth")
    torch.save(state | {"fc.weight": state["fc.weight"].t().contiguous().t()}, FOLDER / "strided.pth", pickle_protocol=4)
    torch.save(state | {"fc.weight": state["fc.weight"].to(torch.float8_e4m3fn)}, FOLDER / "eight_bits.pth")
    torch.save(state | {"fc.weight": state["fc.weight"].to(torch.complex64)}, FOLDER / "complex.pth")
    torch.save(state | {"fc.weight": state["fc.weight"].to_sparse()}, FOLDER / "sparse.pth")
    torch.jit.script(net).save(FOLDER / "script.pt")
    # Its code and debug records are not read.
    with zipfile.ZipFile(FOLDER / "script.pt") as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist() if "/code/" not in entry.filename]
    with zipfile.ZipFile(FOLDER / "script.pt", "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    (FOLDER / "numpy.pkl").write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in state.items()}, protocol=4))
    for path in sorted(FOLDER.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()

"""Averages sharded weights over two processes and compares with whole ones: one process of it."""

import os
import sys

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from woosh.training import MovingAverage


def made() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3))


def trained(sharded: bool) -> tuple[MovingAverage, nn.Module]:
    model = made()
    average = MovingAverage(model, 0.7)
    if sharded:
        fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    average.follow(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(4):
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()
        average.update()
    return average, model


if __name__ == "__main__":
    os.environ |= {"RANK": sys.argv[1], "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = sys.argv[2]
    distributed.init_process_group("gloo")
    whole, _ = trained(sharded=False)
    sharded, model = trained(sharded=True)
    expected, found = whole.module().state_dict(), sharded.module().state_dict()
    assert all(type(value) is torch.Tensor for value in found.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    state = sharded.state_dict()  # as a checkpoint holds it
    again = MovingAverage(made(), 0.7)
    again.follow(model)
    again.load_state_dict(state)
    for name, value in again.module().state_dict().items():
        assert torch.equal(value, found[name])
    distributed.barrier()
    distributed.destroy_process_group()
    # Once in ten times, a thread of the process group aborts an interpreter that takes its leave.
    os._exit(0)

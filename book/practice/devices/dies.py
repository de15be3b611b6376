"""One rank has a label that does not exist; what do the others do?

torchrun --standalone --nproc-per-node 2 dies.py
"""

from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo", timeout=timedelta(seconds=30))
model = DistributedDataParallel(nn.Linear(16, 7))
labels = torch.tensor([3, 7 if dist.get_rank() == 1 else 0])
F.cross_entropy(model(torch.zeros(2, 16)), labels).backward()

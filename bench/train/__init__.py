"""Training: from an Experiment, its data and its model to a Result.

loop.py         the loop: epochs, deadline, selection, checkpoint, out of memory, costs, Result
learner.py      what the loop drives: trains an epoch, scores images, gives and takes a state
single.py       the learner of one network
stacked/        the learner of several runs as one program
budget.py       how long a training is: epochs, steps or seconds
clock.py        the deadline
step.py         what a network learns from one batch: the part to write anew
own_step.py     training steps of own parts; lightning.py, a LightningModule as it is
parts.py        how batches are cut into parts, and what cannot be trained on a part of one image
examples.py     what is trained on: images, or features of a frozen backbone
fit.py          one run by the loop
failure.py      a library's errors as one message with model, settings and reason
heads.py        transfer as a run
knn.py          nearest neighbours and class means: no training, the same Result
fabric.py       Lightning's Fabric: devices, precision, strategy; torch's switches
distributed.py  one training in several processes
sharded.py      networks too large for one device
range_test.py   the largest stable lr, for `bench lr`
optim.py        optimizers and schedules
loss.py         losses and penalties
scoring.py      a network's scores of images
test_time.py    scores as the mean over augmented views
selection.py    the history and its best epoch
checkpoint.py   the state of a training as a file
diagnostics.py  gradient norms by layer
metrics.py      from scores and labels to every metric
own_metrics.py  metrics measured on request, ours and own
robustness.py   accuracy under corruption
memory.py       peak memory
energy.py       energy used, where the machine counts it
allocator.py    freed memory kept for the next step
result.py       what training hands back
"""

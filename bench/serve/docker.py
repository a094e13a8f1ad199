"""A Dockerfile that serves an exported model, with everything that it copies beside it. Needs no torch."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import bench
from bench.disk import write_atomically

# What `bench serve FOLDER` imports for an ONNX model; versions are those of here.
PACKAGES = (
    "numpy", "pillow", "onnxruntime", "starlette", "uvicorn", "fsspec", "rich", "pydantic", "filelock", "pyyaml",
    "tifffile",
)  # fmt: skip
PORT = 8000

DOCKERFILE = """\
# Serves the model in this folder:  docker build -t NAME .  &&  docker run -p {port}:{port} NAME
FROM python:3.11-slim
COPY requirements.txt /app/
RUN pip install --no-cache-dir -r /app/requirements.txt
COPY imagebench /app/imagebench
COPY model.onnx* model.json /app/model/
ENV PYTHONPATH=/app/imagebench PYTHONDONTWRITEBYTECODE=1
USER nobody
EXPOSE {port}
# Inside a container every address is its own; what of it is open to others `docker run -p` says.
CMD ["python", "-c", "from bench.cli import shell; shell()", "serve", "/app/model", \
     "--host", "0.0.0.0", "--port", "{port}"]
"""


def dockerfile(folder: Path) -> list[Path]:
    """Write Dockerfile, requirements.txt and this package's code into the folder of an exported model."""
    code = folder / "imagebench" / "bench"
    shutil.rmtree(code.parent, ignore_errors=True)
    shutil.copytree(
        Path(bench.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__", "vendor", "conf", "sweeps")
    )
    write_atomically(folder / "requirements.txt", "".join(f"{name}=={version(name)}\n" for name in PACKAGES))
    write_atomically(folder / "Dockerfile", DOCKERFILE.format(port=PORT))
    return [folder / "Dockerfile", folder / "requirements.txt", code.parent]

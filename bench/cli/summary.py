"""What a person reads after a run: metrics, costs, and what was found on request."""

from __future__ import annotations

from typing import Any


def summary(record: Any, ran: bool, store: str) -> str:
    """What a person wants to know after a run."""
    if record.status != "finished":
        return f"FAILED: {record.reason}\nrun     {record.run_id}  in {store}"
    from bench.cli.announce import was

    m, c = record.metrics, record.costs
    lines = ["" if ran else "Already in the store; --fresh runs it again.", was(record)]
    for split in ("val", "test"):
        lines.append(
            f"{split:<5} accuracy {m[f'{split}/accuracy']:.4f}   top5 {m[f'{split}/top5']:.4f}   "
            f"macro F1 {m[f'{split}/macro_f1']:.4f}   NLL {m[f'{split}/nll']:.4f}   ECE {m[f'{split}/ece']:.4f}"
        )
    lines += [f"{name.replace('/', '  ', 1):<28} {m[name]:.4f}" for name in sorted(m) if is_extra(name)]
    lines += corruption_lines(m)
    flops = f"{c['cost/flops']:,.0f}" if "cost/flops" in c else "uncounted"
    lines.append(
        f"cost  {c['cost/params']:,.0f} parameters   {flops} FLOPs/image   fit "
        f"{c['cost/fit_seconds']:.1f} s   {c['cost/images_per_second']:,.0f} images/s   "
        f"peak {c['cost/peak_memory_mb']:,.0f} MB"
    )
    if "cost/cpu_joules" in c:
        lines.append(f"power {c['cost/cpu_joules']:,.0f} J of the processors meanwhile, with all else that ran")
    if "cost/target_reached" in c:
        lines.append(target(str(record.config["trainer.target"]), c))
    if c.get("cost/selected_epoch"):
        lines.append(f"epoch {c['cost/selected_epoch']:.0f} was selected on val; test was scored once, at that epoch")
    if skipped := record.provenance.get("skipped_images"):
        words = "1 file could not be read and is" if skipped == "1" else f"{skipped} files could not be read and are"
        lines.append(f"data  {words} in no split (dataset.on_bad_image=skip)")
    lines.append(f"run   {record.run_id}  in {store}   ('bench ui' shows it)")
    return "\n".join(line for line in lines if line)


def target(asked: str, c: dict[str, float]) -> str:
    """Whether and when a run reached its target."""
    if not c["cost/target_reached"]:
        return f"target {asked} was never reached"
    return (
        f"target {asked} reached after {c['cost/target_seconds']:.1f} s, {c['cost/target_epochs']:.0f} epochs, "
        f"{c['cost/target_steps']:.0f} steps"
    )


def is_extra(name: str) -> bool:
    """Whether a metric is measured on request only: one of somebody's own, or of ours that the lines above lack."""
    from bench.parts.metrics import OURS
    from bench.schema.metric import ON_REQUEST, last_part

    asked = last_part(name)
    return name.split("/")[0] in ("val", "test") and (asked not in OURS or asked in ON_REQUEST)


def corruption_lines(metrics: dict[str, float]) -> list[str]:
    """Test accuracy under each corruption, a column for each severity, below the clean one; nothing without any."""
    found: dict[str, dict[str, float]] = {}
    for metric, value in metrics.items():
        if metric.startswith("corrupt/") and metric.endswith("/accuracy"):
            _, name, severity, _ = metric.split("/")
            found.setdefault(name, {})[severity] = value
    if not found:
        return []
    severities = sorted({severity for row in found.values() for severity in row})
    lines = ["test accuracy under corruption, severity" + "".join(f"{severity:>8}" for severity in severities)]
    for name, row in sorted(found.items()):
        lines.append(
            f"      {name:<34}" + "".join(f"{row.get(severity, float('nan')):>8.4f}" for severity in severities)
        )
    return lines

"""One HTML page of all pictures, with everything inside: it can be sent as a file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from jinja2 import Environment, StrictUndefined

from bench.explain.picture import Picture
from bench.explain.subject import Subject

MOST_ROWS = 200  # of a table on the page; all are in its CSV file

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}</title><style>
:root { color-scheme: light dark; --faint: #666; --line: #ddd; }
@media (prefers-color-scheme: dark) { :root { --faint: #aaa; --line: #444; }
body { background: #16181c; color: #e8e8e8; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .3rem; }
p { max-width: 46rem; margin: .4rem 0; } nav a { margin-right: .9rem; white-space: nowrap; }
.faint { color: var(--faint); }
figure { margin: .8rem 0; overflow-x: auto; }
img { max-width: max(100%, 42rem); background: white; border-radius: 4px; }
.scroll { overflow-x: auto; max-height: 34rem; overflow-y: auto; }
table { border-collapse: collapse; font-size: .86rem; }
th, td { text-align: right; padding: .15rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { position: sticky; top: 0; background: Canvas; } th:first-child, td:first-child { text-align: left; }
</style></head><body>
<h1>{{ title }}</h1>
<p class="faint">{{ facts }}</p>
<nav>{% for p in pictures %}<a href="#{{ p.name }}">{{ p.title }}</a> {% endfor %}</nav>
{% for p in pictures %}<section><h2 id="{{ p.name }}">{{ p.title }}</h2><p>{{ p.caption }}</p>
{% if p.name in images %}<figure><img alt="{{ p.title }}" src="data:image/png;base64,{{ images[p.name] }}"></figure>
{% endif %}
{% if p.rows %}<div class="scroll"><table>
<thead><tr>{% for h in p.head %}<th>{{ h }}</th>{% endfor %}</tr></thead><tbody>
{% for row in p.rows[:most] %}<tr>{% for v in row %}<td>{{ v }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>{% if p.rows|length > most %}<p class="faint">{{ p.rows|length - most }} more rows in
{{ p.name }}.csv</p>{% endif %}{% endif %}</section>
{% endfor %}
{% if left_out %}<section><h2>Left out</h2><ul class="faint">
{% for kind, why in left_out.items() %}<li>{{ kind.replace("_", " ") }}: {{ why }}</li>{% endfor %}
</ul></section>{% endif %}
</body></html>
"""


def page(
    subject: Subject, pictures: Sequence[Picture], images: Mapping[str, bytes], left_out: Mapping[str, str]
) -> str:
    """The page as text.

    Args:
        images: PNG files by the pictures' names.
    """
    record = subject.trained.record
    said = [f"{split} accuracy {record.metrics[f'{split}/accuracy']:.2%}" for split in ("val", "test")]
    facts = f"{', '.join(said)} when it was run. Pictures are of images of {subject.split}. Run {record.run_id}."
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    encoded = {name: base64.b64encode(content).decode() for name, content in images.items()}
    return engine.from_string(TEMPLATE).render(
        title=f"What {subject.trained.title} learned", facts=facts, pictures=pictures, images=encoded,
        left_out=left_out, most=MOST_ROWS,
    )  # fmt: skip

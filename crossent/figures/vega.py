"""Interactive figures as Vega-Lite specifications, and the pieces that their specs share."""

from typing import Any


class VegaLite:
    """A Vega-Lite figure whose sliders work in a static page, without a kernel.

    What it displays is the specification itself, which the book's site and JupyterLab draw.
    Whatever draws neither shows the description.

    Parameters
    ----------
    spec : dict
        A Vega-Lite v5 specification. Its ``description`` says what the figure shows, for those
        who cannot see it.

    Raises
    ------
    ValueError
        If the specification has no description.
    """

    MIME_TYPE = "application/vnd.vegalite.v5+json"

    def __init__(self, spec: dict[str, Any]) -> None:
        if not spec.get("description"):
            message = "spec has no 'description': say there what the figure shows"
            raise ValueError(message)
        schema = "https://vega.github.io/schema/vega-lite/v5.json"
        self.spec = {"$schema": schema, "width": "container", **spec}

    def __repr__(self) -> str:
        return str(self.spec["description"])

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {self.MIME_TYPE: self.spec, "text/plain": repr(self)}


def slider(
    name: str, label: str, value: float, stop: float, step: float = 1, start: float = 0
) -> dict[str, Any]:
    """Return a parameter that a labelled slider moves from ``start`` to ``stop``."""
    bind = {"input": "range", "min": start, "max": stop, "step": step, "name": label}
    return {"name": name, "value": value, "bind": bind}


def calculate(name: str, expression: str) -> dict[str, Any]:
    """Return a transform that adds the field ``name``."""
    return {"calculate": expression, "as": name}

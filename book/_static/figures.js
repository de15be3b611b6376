// Draws the figures of a page (compiled to Vega by the build) and keeps their width and colours in step with the page.
"use strict";

{
  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(
      ["ink", "muted", "rule", "paper"].map((name) => [name, style.getPropertyValue(`--book-${name}`).trim()]),
    );
  };

  const views = Array.from(document.querySelectorAll(".figure-live"), (figure) => {
    const spec = JSON.parse(figure.querySelector("script").textContent);
    const view = new vega.View(vega.parse(spec), {
      renderer: "svg",
      container: figure.querySelector(".figure-live__plot"),
      bind: figure.querySelector(".figure-live__controls"),
    });
    // The label holds the name and the value; a slider already tells its value.
    for (const label of figure.querySelectorAll(".vega-bind > label")) {
      label.querySelector("input, select").setAttribute("aria-label", label.firstChild.textContent);
    }
    // Vega-Lite's "container" width follows the window only, but the sidebar changes the column, too.
    new ResizeObserver(() => window.dispatchEvent(new Event("resize"))).observe(figure);
    return view;
  });

  const paint = () => {
    for (const view of views) {
      for (const [name, color] of Object.entries(theme())) view.signal(name, color);
      view.runAsync();
    }
  };
  paint();
  new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}

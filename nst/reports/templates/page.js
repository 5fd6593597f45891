"use strict";
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "copied";
  } catch {
    // a page opened from disk may not use the clipboard: select the text instead
    getSelection().selectAllChildren(button.previousElementSibling);
    button.textContent = "selected";
  }
  setTimeout(() => { button.textContent = "copy"; }, 1500);
});

const plots = () => document.querySelectorAll(".js-plotly-plot");
function theme() {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
  for (const plot of plots()) {
    const change = { "font.color": colour("--ink"), "hoverlabel.bgcolor": colour("--raised") };
    for (const [key, value] of Object.entries(axis)) {
      change[`xaxis.${key}`] = value;
      change[`yaxis.${key}`] = value;
    }
    if (plot.layout.updatemenus) {
      change["updatemenus[0].bgcolor"] = colour("--raised");
      change["updatemenus[0].bordercolor"] = colour("--line");
      change["updatemenus[0].font.color"] = colour("--ink");
    }
    // a plot is drawn while the page loads, when its column may be wider
    Plotly.relayout(plot, change).then(() => Plotly.Plots.resize(plot));
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
theme();

/* What the pages do beside htmx: graces run down between two looks at the server. */

const shown = new WeakMap();

/** Show how much is left, to the tenth of a second. */
function count() {
  const now = performance.now();
  for (const place of document.querySelectorAll("[data-left-ms]")) {
    if (!shown.has(place)) shown.set(place, now + Number(place.dataset.leftMs));
    const leftMs = Math.max(0, shown.get(place) - now);
    place.textContent = `${(leftMs / 1000).toFixed(1)} s`;
  }
}

setInterval(count, 100);

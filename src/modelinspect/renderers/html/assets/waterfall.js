/* The way from one size to another: a row for each step, which begins where the previous one ended. */

function stepRows(part) {
  const rows = [];
  let reached = part.start;
  if (part.start) rows.push({ name: "before", text: counted(part.start), from: 0, to: part.start, kind: "total", size: part.start });
  for (const [name, delta] of part.rows) {
    rows.push({ name, text: signed(delta), from: reached, to: reached + delta, kind: delta > 0 ? "more" : "less", size: delta });
    reached += delta;
  }
  rows.push({ name: part.start ? "after" : "total", text: counted(part.end), from: 0, to: part.end, kind: "total", size: part.end });
  return rows;
}

function drawSteps(part, place) {
  const rows = stepRows(part);
  const largest = Math.max(part.start, part.end, 1);
  const edges = rows.flatMap((row) => (row.kind === "total" ? [row.to] : [row.from, row.to]));
  const [low, high] = [Math.min(...edges), Math.max(...edges)];
  const shape = { zoomed: false };
  const body = el("div", { class: "waterfall", "aria-hidden": "true" });
  const zoom = el("button", { type: "button", "aria-pressed": "false" }, "Zoom to the changes");
  const paint = () => {
    const margin = (high - low) * 0.15;
    const [from, to] = shape.zoomed ? [Math.max(low - margin, 0), high + margin] : [Math.min(0, low), Math.max(high, 1)];
    const at = (value) => (100 * (Math.min(Math.max(value, from), to) - from)) / (to - from);
    body.replaceChildren(...rows.map((row) => {
      const bar = el("span", { class: "step", "data-kind": row.kind });
      const [left, right] = [at(Math.min(row.from, row.to)), at(Math.max(row.from, row.to))];
      bar.style.setProperty("--left", `${left}%`);
      bar.style.setProperty("--wide", `${Math.max(right - left, 0.2)}%`);
      return el("div", { class: "step-row", title: `${row.name}: ${row.text} bytes` }, el("span", { class: "step-name name" }, row.name), el("span", { class: "step-track" }, bar), el("span", { class: "number" }, row.text));
    }));
  };
  zoom.addEventListener("click", () => {
    shape.zoomed = !shape.zoomed;
    zoom.setAttribute("aria-pressed", String(shape.zoomed));
    paint();
  });
  const table = asTable(`The same as a table: ${counted(rows.length)} steps`, part.title, () => ({
    columns: [["step", "text"], ["bytes", "text"], ["share of the larger", "share"]],
    cells: [rows.map((row) => row.name), rows.map((row) => row.text), rows.map((row) => Math.abs(row.size) / largest)],
  }));
  const helps = part.start > 0 && high > low && high - low < 0.5 * high;
  place.append(helps ? el("div", { class: "tools" }, zoom) : "", body, table);
  paint();
}

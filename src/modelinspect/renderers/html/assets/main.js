/* Draws the report's parts in their order, and searches all of them. */

const SEARCHED = new Set(["tree", "compare", "ribbon"]);
const SHORT_CODE = 3;
const THEMES = ["auto", "light", "dark"];

function drawHeading(part) {
  const chips = [part.size, ...part.details].map((detail) => el("li", {}, detail));
  document.getElementById("top").append(
    el("div", { class: "brand" }, el("span", {}, "modelinspect"), themeButton()),
    el("h1", { class: "name" }, part.subject),
    el("ul", { class: "chips", "aria-label": "Details" }, ...chips),
  );
}

function themeButton() {
  const button = el("button", { type: "button" });
  const show = () => { button.textContent = `Theme: ${document.documentElement.dataset.theme}`; };
  button.addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    show();
    repaint();
  });
  show();
  return button;
}

function repaint() {
  for (const paint of repaints) paint();
}

function drawBars(part) {
  const largest = Math.max(1, ...part.rows.map((row) => row[1]));
  const rows = part.rows.map(([name, size, category]) => {
    const share = part.total ? size / part.total : 0;
    const bar = el("span", { class: "bar", "data-pattern": category == null ? "" : PALETTE[category].pattern });
    bar.style.setProperty("--size", `${Math.max((100 * size) / largest, 0.25)}%`);
    if (category != null) {
      const paint = () => bar.style.setProperty("--mark", colorOf(category));
      paint();
      repaints.push(paint);
    }
    const title = category == null ? null : PALETTE[category].meaning;
    return el("tr", { title }, el("th", { scope: "row", class: "name" }, category == null ? null : swatch(category), name), el("td", { class: "track", "aria-hidden": "true" }, bar), el("td", { class: "number" }, counted(size)), el("td", { class: "number" }, shareText(share)));
  });
  const head = el("tr", {}, el("th", { scope: "col" }, "part"), el("th", { "aria-hidden": "true" }), el("th", { scope: "col", class: "number" }, "bytes"), el("th", { scope: "col", class: "number" }, "share"));
  const foot = el("tr", {}, el("th", { scope: "row" }, "sum"), el("td", { "aria-hidden": "true" }), el("td", { class: "number" }, counted(part.total)), el("td"));
  section(part.title, "bars", el("table", {}, el("caption", { class: "unseen" }, part.title), el("thead", {}, head), el("tbody", {}, ...rows), el("tfoot", {}, foot)));
}

function drawNotes(part) {
  const items = part.rows.map(([severity, name, text, remedy, code]) =>
    el("li", { class: "note", "data-severity": severity },
      el("p", { class: "note-head" }, el("strong", { class: "severity" }, severity), " ", el("code", { class: "name" }, name)),
      el("p", {}, text),
      remedy ? el("p", { class: "remedy" }, el("strong", {}, "Remedy: "), remedy) : null,
      code ? codeBlock(code, "remedy") : null));
  const made = section(part.title, "notes", el("ul", {}, ...items));
  if (part.left) made.append(el("p", { class: "quiet" }, `${counted(part.left)} more`));
}

/* Code with a button that copies it; where the browser does not let a page copy, the code is selected instead. */
function codeBlock(code, kind) {
  const block = el("pre", { class: kind, tabindex: "0" }, code);
  const button = el("button", { type: "button", class: "copy", "aria-live": "polite" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 4000);
  });
  const shown = el("div", { class: "code" }, button, block);
  const lines = code.split("\n").length;
  return kind && lines > SHORT_CODE ? el("details", { class: "more" }, el("summary", {}, `Show the code (${lines} lines)`), shown) : shown;
}

/* One field for the whole page: pictures zoom to what has the name, and tables keep the rows that hold it. */
function searchForm() {
  const find = el("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "dense/kernel" });
  const status = el("span", { class: "status", role: "status" });
  const run = () => {
    const needle = find.value.trim().toLowerCase();
    const hits = searched.map((search) => search(needle)).filter((hit) => hit);
    status.textContent = !needle ? "" : hits.length ? `Found: ${hits.join(", ")}.` : `Nothing on this page is named like “${find.value.trim()}”.`;
  };
  find.addEventListener("input", later(200, run));
  return el("form", { role: "search", class: "tools", onsubmit: (event) => { event.preventDefault(); run(); } }, el("label", {}, "Find a tensor or structure ", find), status);
}

/* A page in a notebook's frame says how tall it is, so the frame can be as tall as its content. */
function reportHeight() {
  if (parent === window) return;
  const post = () => parent.postMessage({ modelinspectHeight: Math.ceil(document.body.getBoundingClientRect().height) }, "*");
  new ResizeObserver(post).observe(document.body);
}

function drawPart(part) {
  switch (part.type) {
    case "heading": return drawHeading(part);
    case "bars": return drawBars(part);
    case "notes": return drawNotes(part);
    case "lines": return section("", "lines", ...part.lines.map((line) => el("p", {}, line)));
    case "commands": return section(part.title, "commands", ...part.rows.flatMap(([line, purpose]) => [el("p", {}, purpose), codeBlock(line)]));
    case "dump": return section(part.title, "dump", codeBlock(part.text));
    case "table": return drawTable(part, section(part.title || "Table", "table"));
    case "ribbon": return drawRibbon(part, section(part.title, "ribbon-part"));
    case "tree": return drawTree(part, section(part.title, "tree"));
    case "steps": return drawSteps(part, section(part.title, "steps"));
    case "compare": return drawCompare(part, section(part.title, "compare"));
  }
}

/* Pictures get their size from a ResizeObserver, which runs at the end of a frame: in the frame after it they are drawn. */
async function drawn() {
  for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
}

async function start() {
  const waiting = REPORT.parts.map(drawPart);
  const header = document.getElementById("top");
  if (!header.childElementCount) header.append(el("div", { class: "brand" }, el("span", {}, "modelinspect"), themeButton()));
  if (REPORT.parts.some((part) => SEARCHED.has(part.type))) header.append(searchForm());
  reportHeight();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  const done = await Promise.allSettled(waiting);
  const failed = done.filter((one) => one.status === "rejected");
  for (const one of failed) {
    console.error(one.reason);
    section("", "lines", el("p", { role: "alert" }, `A picture could not be drawn: ${one.reason && one.reason.message}. It needs a browser of 2024 or later.`));
  }
  await drawn();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

start();

/* Tables that can be sorted by any column and filtered by any text, a page of rows at a time. */

const PAGE_ROWS = 50;
const SHORT_TEXT = 28;
const NUMBER_TEXT = /^[+-]?[\d,]+$/;

function isNumeric(unit, cells) {
  if (unit !== "text") return true;
  let some = false;
  for (let row = 0; row < Math.min(cells.length, 200); row++) {
    if (cells[row] == null) continue;
    if (!NUMBER_TEXT.test(String(cells[row]))) return false;
    some = true;
  }
  return some;
}

function asNumber(cell) {
  if (cell == null) return -Infinity;
  return typeof cell === "number" ? cell : Number(String(cell).replaceAll(",", ""));
}

function largest(cells) {
  return cells.reduce((most, cell) => Math.max(most, asNumber(cell)), 0);
}

function cellText(cell, unit) {
  if (cell == null) return "";
  if (typeof cell === "string") return cell;
  if (unit === "share") return shareText(cell);
  return (unit === "change" && cell > 0 ? "+" : "") + counted(cell);
}

class DataTable {
  constructor(title, columns, cells, rest, links) {
    this.title = title;
    this.columns = columns.map(([name, unit, bar], index) => ({ name, unit, numeric: isNumeric(unit, cells[index]), most: bar ? largest(cells[index]) : 0 }));
    this.links = links || { column: -1, rows: [] };
    this.cells = cells;
    this.count = cells.length ? cells[0].length : 0;
    this.rest = rest;
    this.order = Array.from({ length: this.count }, (_, row) => row);
    this.sorted = -1;
    this.descending = false;
    this.first = 0;
    this.needle = "";
    this.node = this.build();
    this.fill();
  }

  build() {
    this.body = el("tbody");
    this.heads = this.columns.map((column, index) =>
      el(
        "th",
        { scope: "col", class: column.numeric ? "number" : null, "aria-sort": "none" },
        el("button", { type: "button", onclick: () => this.sort(index) }, column.name, el("span", { class: "arrow", "aria-hidden": "true" })),
      ),
    );
    this.status = el("span", { role: "status", class: "status" });
    this.back = el("button", { type: "button", onclick: () => this.turn(-1) }, "Previous rows");
    this.next = el("button", { type: "button", onclick: () => this.turn(1) }, "Next rows");
    const table = el("table", {}, el("caption", { class: "unseen" }, this.title || "Table"), el("thead", {}, el("tr", {}, ...this.heads)), this.body);
    if (this.rest) table.append(el("tfoot", {}, this.row(this.columns.map((column, index) => cellText(this.rest[index], column.unit)))));
    const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": this.title || "Table" }, table);
    this.field = el("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: later(120, (event) => this.filter(event.target.value)) });
    const tools = el("div", { class: "tools" }, this.count > 5 ? el("label", {}, "Filter ", this.field) : null, this.status);
    this.pager = el("div", { class: "pager" }, this.back, this.next);
    return el("div", { class: "data" }, tools, scroll, this.pager);
  }

  sort(index) {
    this.descending = this.sorted === index ? !this.descending : this.columns[index].numeric;
    this.sorted = index;
    this.heads.forEach((head, place) => head.setAttribute("aria-sort", place !== index ? "none" : this.descending ? "descending" : "ascending"));
    this.arrange();
  }

  filter(text) {
    this.needle = text.trim().toLowerCase();
    if (this.field && this.field.value.trim().toLowerCase() !== this.needle) this.field.value = text;
    this.arrange();
  }

  matches(row) {
    return this.columns.some((column, index) => cellText(this.cells[index][row], column.unit).toLowerCase().includes(this.needle));
  }

  arrange() {
    let order = Array.from({ length: this.count }, (_, row) => row);
    if (this.needle) order = order.filter((row) => this.matches(row));
    if (this.sorted >= 0) {
      const cells = this.cells[this.sorted];
      const turn = this.descending ? -1 : 1;
      const keys = this.columns[this.sorted].numeric ? cells.map(asNumber) : cells.map((cell) => String(cell ?? "").toLowerCase());
      order.sort((one, other) => (keys[one] < keys[other] ? -turn : keys[one] > keys[other] ? turn : one - other));
    }
    this.order = order;
    this.first = 0;
    this.fill();
  }

  turn(pages) {
    this.first = Math.max(0, Math.min(this.first + pages * PAGE_ROWS, this.order.length - 1));
    this.fill();
  }

  fill() {
    const rows = this.order.slice(this.first, this.first + PAGE_ROWS);
    this.body.replaceChildren(...rows.map((row) => this.row(this.columns.map((column, index) => cellText(this.cells[index][row], column.unit)), row)));
    const some = this.order.length === this.count ? counted(this.count) : `${counted(this.order.length)} of ${counted(this.count)}`;
    const range = this.order.length > PAGE_ROWS ? `, ${counted(this.first + 1)} to ${counted(this.first + rows.length)} shown` : "";
    this.status.textContent = `${some} row${this.count === 1 ? "" : "s"}${range}`;
    this.pager.hidden = this.order.length <= PAGE_ROWS;
    this.back.disabled = this.first === 0;
    this.next.disabled = this.first + PAGE_ROWS >= this.order.length;
  }

  row(texts, row) {
    const cells = texts.map((text, index) => {
      const column = this.columns[index];
      const kind = column.numeric ? "number" : text.length > SHORT_TEXT ? "long" : "short";
      const link = row !== undefined && index === this.links.column ? this.links.rows[row] : null;
      const cell = el(index ? "td" : "th", { scope: index ? null : "row", class: kind }, link ? el("a", { href: link }, text) : text);
      if (column.most && row !== undefined) {
        cell.classList.add("share");
        cell.style.setProperty("--share", `${(100 * asNumber(this.cells[index][row] ?? 0)) / column.most}%`);
      }
      if (column.unit === "share" && row !== undefined && typeof this.cells[index][row] === "number") {
        cell.classList.add("share");
        cell.style.setProperty("--share", `${Math.min(100 * this.cells[index][row], 100)}%`);
      }
      return cell;
    });
    return el("tr", {}, ...cells);
  }
}

async function drawTable(part, place) {
  const cells = part.cells || (await unpackJson(part.packed));
  const table = new DataTable(part.title, part.columns, cells, part.rest, part.links);
  place.append(table.node);
  if (table.count <= 5) return;
  searched.push((needle) => {
    table.filter(needle);
    return needle && table.order.length ? `${counted(table.order.length)} in “${part.title || "Table"}”` : null;
  });
}

/* The numbers of a picture as a table that opens when it is asked for: the same for those who cannot see the picture. */
function asTable(summary, title, make) {
  const details = el("details", { class: "as-table" }, el("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) {
      const { columns, cells } = make();
      details.append(new DataTable(title, columns, cells, null).node);
    }
  });
  return details;
}

/* Two artifacts as treemaps side by side: pointing at a box finds the same thing on the other side, and a table lists what moved. */

const CHANGES = { removed: ["removed", "#c9541c", "#f08a58"], smaller: ["smaller", "#e3a77f", "#a8694a"], same: ["same size", "#aab2bf", "#5a6473"], larger: ["larger", "#7fb8e6", "#3d6f9e"], added: ["added", "#1d5fd0", "#7fb0ff"] };

function changeOf([before, after]) {
  if (!before && after) return "added";
  if (before && !after) return "removed";
  return after > before ? "larger" : after < before ? "smaller" : "same";
}

function sizesText(before, after) {
  return `${counted(before)} → ${counted(after)} bytes (${after === before ? "no change" : signed(after - before)})`;
}

class Compare {
  constructor(part, data) {
    this.part = part;
    this.keys = data.keys;
    this.trees = data.sides.map(withChildren);
    this.byChange = false;
    this.places = this.trees.map((tree) => { const places = new Map(); tree.keys.forEach((key, node) => { if (key >= 0) places.set(key, [...(places.get(key) || []), node]); }); return places; });
    this.readout = el("p", { class: "readout", role: "status" }, "Point at a box, or focus a picture and use the arrow keys: the same tensor is outlined on both sides.");
    this.views = this.trees.map((tree, side) => new TreeView(tree, `${part.names[side]}: ${part.title}. Arrow keys move between boxes, Enter zooms in, Escape shows all. What moved is in a table below.`, {
      zoom: (node) => this.zoom(side, node),
      choose: (node) => this.choose(side, node),
      tell: (node) => this.tell(side, node),
    }, (node) => this.color(tree, node)));
    this.crumbs = this.trees.map(() => el("nav", { class: "path", "aria-label": "Zoomed to" }));
    this.node = this.build();
    this.rescale(true);
    this.views.forEach((_, side) => this.showPath(side));
  }

  build() {
    const toggle = (text, pressed, run) => el("button", { type: "button", "aria-pressed": String(pressed), onclick: (event) => {
      const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
      event.currentTarget.setAttribute("aria-pressed", String(on));
      run(on);
    } }, text);
    this.legend = el("ul", { class: "legend", "aria-label": "Colors of changes", hidden: true }, ...Object.values(CHANGES).map(([name, light, dark]) => {
      const mark = el("span", { class: "swatch", "aria-hidden": "true" });
      const paint = () => mark.style.setProperty("--mark", isDark() ? dark : light);
      paint();
      repaints.push(paint);
      return el("li", {}, mark, name);
    }));
    const tools = el("div", { class: "tools" },
      toggle("Color by change", false, (on) => { this.byChange = on; this.legend.hidden = !on; this.views.forEach((view) => { view.patterned = !on; view.paint(); }); }),
      toggle("Same scale", true, (on) => this.rescale(on)));
    const sides = this.views.map((view, side) => el("figure", {}, el("figcaption", {}, el("strong", {}, side ? "After " : "Before "), el("span", { class: "name" }, this.part.names[side]), ` ${counted(this.trees[side].sizes[0])} bytes`), this.crumbs[side], view.node));
    return el("div", {}, tools, this.legend, el("div", { class: "sides" }, ...sides), this.readout);
  }

  /* With one scale, a byte has the same area on both sides. */
  rescale(same) {
    const sizes = this.trees.map((tree) => tree.sizes[0]);
    const most = Math.max(...sizes, 1);
    this.views.forEach((view, side) => { view.scale = same ? Math.max(Math.sqrt(sizes[side] / most), 0.08) : 1; view.paint(); });
  }

  color(tree, node) {
    if (!this.byChange) return tree.categories[node] < 0 ? null : colorOf(tree.categories[node]);
    const key = tree.keys[node];
    if (key < 0) return isDark() ? "#3a424e" : "#dde2e9";
    const [, light, dark] = CHANGES[changeOf(this.sizes(key))];
    return isDark() ? dark : light;
  }

  sizes(key) {
    return [this.keys.before[key], this.keys.after[key]];
  }

  tell(side, node) {
    const tree = this.trees[side];
    const key = tree.keys[node];
    if (key < 0) return `${pathText(tree, node)}: ${counted(tree.sizes[node])} bytes ${side ? "after" : "before"}; single ones are too small to draw`;
    const whole = this.sizes(key)[side] === tree.sizes[node] ? "" : `${counted(tree.sizes[node])} bytes here; in all categories, `;
    return `${pathText(tree, node)}: ${whole}${this.keys.kinds[key]} ${this.keys.labels[key]} ${sizesText(...this.sizes(key))}`;
  }

  choose(side, node) {
    const key = this.trees[side].keys[node];
    this.views[side].choose(node);
    this.views[1 - side].choose(this.counterpart(1 - side, key, this.trees[side].categories[node]));
    this.readout.textContent = this.tell(side, node);
  }

  /* The node of the other side under the same key, in the same category where there are several. */
  counterpart(side, key, category) {
    const nodes = (key >= 0 && this.places[side].get(key)) || [];
    return nodes.find((node) => this.trees[side].categories[node] === category) ?? nodes[0] ?? -1;
  }

  zoom(side, node) {
    const other = this.counterpart(1 - side, this.trees[side].keys[node], this.trees[side].categories[node]);
    this.views[side].zoom(node);
    if (node === 0) this.views[1 - side].zoom(0);
    else if (other > 0 && this.trees[1 - side].children[other].length) this.views[1 - side].zoom(other);
    this.views.forEach((_, place) => this.showPath(place));
  }

  showPath(side) {
    this.crumbs[side].replaceChildren(...pathBar(this.trees[side], this.views[side].level, (node) => this.zoom(side, node)));
  }

  find(needle) {
    const hits = this.trees.map((tree) => nodesNamed(tree, needle));
    hits.forEach((nodes, side) => this.views[side].mark(nodes));
    const side = hits[0].length ? 0 : 1;
    if (!hits[side].length) return null;
    this.zoom(side, Math.max(this.trees[side].parents[hits[side][0]], 0));
    this.choose(side, hits[side][0]);
    return `${counted(hits[0].length)} before and ${counted(hits[1].length)} after in the treemaps`;
  }
}

/* Every tensor and structure whose size differs; the changes sum to the difference of the two files. */
function movedTable(keys) {
  const rows = [...keys.labels.keys()].filter((key) => keys.leaf[key] && keys.before[key] !== keys.after[key]);
  rows.sort((one, other) => Math.abs(keys.after[other] - keys.before[other]) - Math.abs(keys.after[one] - keys.before[one]) || one - other);
  const column = (name) => rows.map((key) => keys[name][key]);
  const sum = (name) => rows.reduce((total, key) => total + keys[name][key], 0);
  const columns = [["what", "text"], ["kind", "text"], ["layer", "text"], ["before", "bytes"], ["after", "bytes"], ["change", "change"]];
  const cells = [column("labels"), column("kinds"), column("layers"), column("before"), column("after"), rows.map((key) => keys.after[key] - keys.before[key])];
  if (!rows.length) return el("p", {}, "Every tensor and structure takes the same number of bytes on both sides.");
  return new DataTable("What moved", columns, cells, ["sum of the changes", null, null, sum("before"), sum("after"), sum("after") - sum("before")]).node;
}

async function drawCompare(part, place) {
  const moved = section("What moved", "table");
  const data = await unpackJson(part.packed);
  const compare = new Compare(part, data);
  place.append(compare.node);
  place.compare = compare;
  searched.push((needle) => compare.find(needle));
  moved.append(movedTable(data.keys));
}

/* A tree of bytes as nested boxes whose areas are sizes: zoomed by click, by key or by choice, searched by name. */

const NODE_CHOICES = 300;
const HEADER = 18;
const GAP = 2;
const TREE_KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Enter", "Escape"]);
let drawings = 0;

function ancestors(tree, node) {
  const path = [];
  for (let place = node; place > 0; place = tree.parents[place]) path.push(tree.labels[place]);
  return path.reverse();
}

function withChildren(tree) {
  tree.children = tree.labels.map(() => []);
  for (let node = 1; node < tree.labels.length; node++) tree.children[tree.parents[node]].push(node);
  for (const inner of tree.children) inner.sort((one, other) => tree.sizes[other] - tree.sizes[one] || one - other);
  return tree;
}

function pathText(tree, node) {
  return ancestors(tree, node).join(" › ") || tree.labels[0];
}

/* Places for sizes, largest first, as close to squares as the area allows (Bruls, Huizing and van Wijk, Squarified Treemaps, 2000). */
function squarify(sizes, x, y, width, height) {
  const places = [];
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  const scale = whole ? (width * height) / whole : 0;
  let first = 0;
  while (first < sizes.length) {
    const side = Math.min(width, height);
    let area = 0;
    let worst = Infinity;
    let last = first;
    for (; last < sizes.length; last++) {
      const next = area + sizes[last] * scale;
      const most = Math.max(sizes[first] * scale * side * side / (next * next), (next * next) / (sizes[last] * scale * side * side));
      if (!(most <= worst)) break;
      area = next;
      worst = most;
    }
    last = Math.max(last, first + 1);
    const thick = side ? area / side : 0;
    let along = 0;
    for (let place = first; place < last; place++) {
      const long = area ? (sizes[place] * scale * side) / area : 0;
      places.push(width < height ? [x + along, y, long, thick] : [x, y + along, thick, long]);
      along += long;
    }
    if (width < height) { y += thick; height -= thick; } else { x += thick; width -= thick; }
    first = last;
  }
  return places;
}

/* The boxes of a tree below a node: [node, x, y, width, height, whether others are inside it]. What is too small to see is not drawn; its box is part of its parent's. */
function treemapBoxes(tree, level, width, height) {
  const boxes = [];
  const fill = (parent, x, y, wide, high) => {
    const inner = tree.children[parent].filter((node) => tree.sizes[node] > 0);
    squarify(inner.map((node) => tree.sizes[node]), x, y, wide, high).forEach(([left, top, w, h], index) => {
      if (w < 1.5 || h < 1.5) return;
      const node = inner[index];
      const opens = tree.children[node].length > 0 && w > 24 && h > HEADER + 12;
      boxes.push([node, left, top, w, h, opens]);
      if (opens) fill(node, left + GAP, top + HEADER, w - 2 * GAP, h - HEADER - GAP);
    });
  };
  if (tree.children[level].length) fill(level, 0, 0, width, height);
  else boxes.push([level, 0, 0, width, height, false]);
  return boxes;
}

/* The same as levels from top to bottom, each as wide as its bytes. */
function icicleBoxes(tree, level, width, height) {
  const boxes = [];
  const depthOf = (node) => 1 + Math.max(0, ...tree.children[node].map(depthOf));
  const high = height / Math.min(depthOf(level), 4);
  const fill = (node, x, y, wide) => {
    if (wide < 1.5 || y + high > height + 1) return;
    boxes.push([node, x, y, wide, high, false]);
    let left = x;
    for (const child of tree.children[node]) {
      const part = tree.sizes[node] ? (wide * tree.sizes[child]) / tree.sizes[node] : 0;
      fill(child, left, y + high, part);
      left += part;
    }
  };
  fill(level, 0, 0, width);
  return boxes;
}

/* One drawing of a tree. `events` receives which node is chosen (pointed at, stepped to) and which is zoomed to. */
class TreeView {
  constructor(tree, label, events, colorFor) {
    this.tree = tree;
    this.events = events;
    this.colorFor = colorFor || ((node) => (tree.categories[node] < 0 ? null : colorOf(tree.categories[node])));
    this.level = 0;
    this.chosen = -1;
    this.shape = "treemap";
    this.scale = 1;
    this.patterned = true;
    this.prefix = `drawing-${++drawings}`;
    this.marked = new Set();
    this.node = svg("svg", { class: "chart", tabindex: 0, role: "application", "aria-roledescription": "treemap", "aria-label": label });
    this.wire();
    new ResizeObserver(() => { if (this.node.clientWidth !== this.width) this.paint(); }).observe(this.node);
    repaints.push(() => this.paint());
  }

  wire() {
    const at = (event) => { const box = event.target.closest(".slice"); return box ? Number(box.dataset.node) : -1; };
    this.node.addEventListener("pointermove", (event) => { const node = at(event); if (node >= 0 && node !== this.chosen) this.events.choose(node); });
    this.node.addEventListener("click", (event) => {
      let node = at(event);
      if (node < 0) return;
      while (node > 0 && node !== this.level && this.tree.parents[node] !== this.level) node = this.tree.parents[node];
      if (node !== this.level && this.tree.children[node].length) this.events.zoom(node);
    });
    this.node.addEventListener("keydown", (event) => {
      if (!TREE_KEYS.has(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.press(event.key);
    });
  }

  press(key) {
    const { tree } = this;
    const now = this.chosen >= 0 ? this.chosen : (tree.children[this.level][0] ?? this.level);
    if (key === "Escape") return this.events.zoom(0);
    if (key === "Enter") return this.events.zoom(tree.children[now].length ? now : Math.max(tree.parents[now], 0));
    if (this.chosen < 0) return this.events.choose(now);
    const around = now > 0 ? tree.children[tree.parents[now]] : [0];
    const place = around.indexOf(now);
    const next = { ArrowLeft: around[place - 1], ArrowRight: around[place + 1], ArrowUp: now > 0 ? tree.parents[now] : now, ArrowDown: tree.children[now][0] }[key];
    if (next !== undefined) this.events.choose(next);
  }

  zoom(level) {
    this.level = level;
    this.paint();
  }

  choose(node) {
    this.chosen = node;
    this.outline();
  }

  /* Marks nodes that a search found. */
  mark(nodes) {
    this.marked = new Set(nodes);
    for (const [node, box] of this.boxes || []) box.classList.toggle("match", this.marked.has(node));
  }

  paint() {
    const width = (this.width = this.node.clientWidth);
    if (!width) return;
    const height = innerWidth < 600 ? 420 : 480;
    const [wide, high] = [width * this.scale, height * this.scale];
    const boxes = (this.shape === "treemap" ? treemapBoxes : icicleBoxes)(this.tree, this.level, wide, high);
    this.boxes = new Map();
    const layer = svg("g", { class: this.shape });
    for (const one of boxes) {
      const drawn = this.box(...one);
      this.boxes.set(one[0], drawn);
      layer.append(drawn);
    }
    this.edge = svg("rect", { class: "chosen", hidden: "" });
    Object.assign(this.node.style, { height: `${height}px` });
    this.node.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.node.replaceChildren(patterns(this.prefix), layer, this.edge);
    this.outline();
  }

  box(node, x, y, width, height, opens) {
    const color = this.colorFor(node) || (isDark() ? "#1b2027" : "#ffffff");
    const place = { x: x.toFixed(1), y: y.toFixed(1), width: Math.max(width - 1, 0.8).toFixed(1), height: Math.max(height - 1, 0.8).toFixed(1) };
    const group = svg("g", { class: this.marked.has(node) ? "slice match" : "slice", "data-node": node }, svg("rect", { ...place, rx: 2, fill: color, class: opens ? "frame" : null }));
    const pattern = patternOf(this.prefix, this.tree.categories[node]);
    if (pattern && this.patterned) group.append(svg("rect", { ...place, rx: 2, fill: pattern, "pointer-events": "none" }));
    group.append(svg("title", {}, this.events.tell(node)));
    const room = width - 9;
    const size = counted(this.tree.sizes[node]);
    const name = height > 15 ? fitted(this.tree.labels[node], room) : "";
    if (!name) return group;
    const ink = inkOn(color);
    const text = (words, top, kind) => svg("text", { x: (x + 4).toFixed(1), y: top.toFixed(1), fill: ink, class: kind }, words);
    if (opens && textWidth(`${name}  ${size}`) < room) group.append(text(`${name}  ${size}`, y + 13));
    else group.append(text(name, y + 13));
    if (!opens && height > 30 && textWidth(size) < room) group.append(text(size, y + 28, "size"));
    return group;
  }

  outline() {
    if (!this.edge) return;
    let node = this.chosen;
    while (node > 0 && !this.boxes.has(node)) node = this.tree.parents[node];
    const box = this.boxes.get(node);
    if (!box) return this.edge.setAttribute("hidden", "");
    const frame = box.firstElementChild;
    for (const name of ["x", "y", "width", "height"]) this.edge.setAttribute(name, frame.getAttribute(name));
    this.edge.removeAttribute("hidden");
  }
}

/* Nodes whose own name holds a text, the largest first: tensors before layers. */
function nodesNamed(tree, needle) {
  const hits = [...tree.labels.keys()].filter((node) => node && tree.labels[node].toLowerCase().includes(needle));
  const leaf = (node) => Number(tree.children[node].length > 0);
  return hits.sort((one, other) => leaf(one) - leaf(other) || tree.sizes[other] - tree.sizes[one] || one - other);
}

function pathBar(tree, level, zoom) {
  const steps = [];
  for (let node = level; node >= 0; node = tree.parents[node]) steps.unshift(node);
  return steps.map((node) => el("button", { type: "button", "aria-current": node === level ? "true" : null, onclick: () => zoom(node) }, shortened(tree.labels[node], 40)));
}

async function drawTree(part, place) {
  const tree = withChildren(await unpackJson(part.packed));
  const readout = el("p", { class: "readout", role: "status" }, "Point at a box, or focus the picture and use the arrow keys. A click or Enter zooms in, Escape zooms out.");
  const crumbs = el("nav", { class: "path", "aria-label": "Zoomed to" });
  const all = Math.max(tree.sizes[0], 1);
  const inner = [...tree.labels.keys()].filter((node) => node && tree.children[node].length).slice(0, NODE_CHOICES);
  const select = el("select", {}, ...[0, ...inner].map((node) => el("option", { value: node }, shortened(pathText(tree, node), 70))));
  const tell = (node) => `${pathText(tree, node)}: ${counted(tree.sizes[node])} bytes, ${shareText(tree.sizes[node] / all)} of all`;
  const zoom = (node) => {
    view.zoom(node);
    select.value = String(node);
    crumbs.replaceChildren(...pathBar(tree, node, zoom));
  };
  const choose = (node) => {
    view.choose(node);
    readout.textContent = tell(node);
  };
  const view = new TreeView(tree, `${part.title}. Arrow keys move between boxes, Enter zooms in, Escape shows all. The same numbers are in a table below.`, { zoom, choose, tell });
  select.addEventListener("change", () => zoom(Number(select.value)));
  const kinds = ["treemap", "icicle"].map((shape) => el("button", { type: "button", "aria-pressed": String(shape === "treemap"), onclick: (event) => {
    view.shape = shape;
    kinds.forEach((button) => button.setAttribute("aria-pressed", String(button === event.currentTarget)));
    view.paint();
  } }, shape === "treemap" ? "Treemap" : "Icicle"));
  place.append(el("div", { class: "tools" }, el("span", { role: "group", "aria-label": "Shape" }, ...kinds), el("label", {}, "Zoom to ", select)), crumbs, view.node, readout, treeTable(part, tree));
  zoom(0);
  searched.push((needle) => {
    const nodes = nodesNamed(tree, needle);
    view.mark(nodes);
    if (!nodes.length) return null;
    zoom(Math.max(tree.parents[nodes[0]], 0));
    choose(nodes[0]);
    return `${counted(nodes.length)} in the treemap`;
  });
}

function treeTable(part, tree) {
  return asTable(`The same as a table: ${counted(tree.labels.length - 1)} parts`, part.title, () => {
    const nodes = [...tree.labels.keys()].slice(1);
    const path = nodes.map((node) => ancestors(tree, node));
    return {
      columns: [...part.levels.map((name) => [name, "text"]), ["bytes", "bytes"], ["share", "share"]],
      cells: [...part.levels.map((_, depth) => path.map((one) => one[depth] ?? null)), nodes.map((node) => tree.sizes[node]), nodes.map((node) => (tree.sizes[0] ? tree.sizes[node] / tree.sizes[0] : 0))],
    };
  });
}

/* The files from the first byte to the last: each column of pixels shows the mix of bytes that falls into it. */

const HEIGHT = 88;
const OVERVIEW = 16;
const AXIS = 18;
const STEP_KEYS = new Set(["ArrowLeft", "ArrowRight", "Home", "End", "+", "=", "-", "PageUp", "PageDown", "Escape", "Enter"]);

async function loadRibbon(part) {
  const floats = (name) => unpack(part[name]).then((buffer) => new Float64Array(buffer));
  const integers = (name) => unpack(part[name]).then((buffer) => new Int32Array(buffer));
  const [sizes, zeros, paths, tensors, counts, parents, categories, names] = await Promise.all([
    floats("sizes"), floats("zeros"), integers("paths"), integers("tensors"), integers("counts"), integers("parents"),
    unpack(part.categories).then((buffer) => new Uint8Array(buffer)), unpackJson(part.names),
  ]);
  const starts = new Float64Array(sizes.length + 1);
  for (let run = 0; run < sizes.length; run++) starts[run + 1] = starts[run] + sizes[run];
  const files = [];
  let offset = 0;
  let first = 0;
  for (const [name, size, runs] of part.files) {
    files.push({ name, size, offset, first });
    offset += size;
    first += runs;
  }
  return { sizes, zeros, paths, tensors, counts, parents, categories, starts, files, names: names.paths, tensorNames: names.tensors, total: offset };
}

class Ribbon {
  constructor(part, data) {
    this.part = part;
    this.data = data;
    this.chosen = -1;
    this.brush = null;
    this.view = [0, Math.max(data.total, 1)];
    this.home = this.view;
    this.node = this.build();
    repaints.push(() => this.paint(true));
    new ResizeObserver(() => this.paint(true)).observe(this.canvas);
  }

  build() {
    this.readout = el("p", { class: "readout", role: "status" }, "Point at the ribbon, or focus it and use the arrow keys, to name a region.");
    this.canvas = el("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "byte ribbon", height: HEIGHT + OVERVIEW + AXIS,
      "aria-label": `${this.part.title}. Arrow keys name the previous or next region, Enter zooms to it, plus and minus zoom, Escape shows all. The same regions are in a table below.`,
    });
    this.tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.wire();
    const button = (text, run) => el("button", { type: "button", onclick: run }, text);
    const find = el("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "kernel, 4,096 or 0x1000" });
    const search = el("form", { role: "search", onsubmit: (event) => { event.preventDefault(); this.find(find.value); } }, el("label", {}, "Find a name or byte ", find), el("button", {}, "Next"));
    const tools = el("div", { class: "tools" }, button("Zoom in", () => this.zoom(0.25)), button("Zoom out", () => this.zoom(4)), button("Show all", () => this.show(...this.home)), this.fileChoice(), search);
    return el("div", { class: "ribbon" }, tools, el("div", { class: "stage" }, this.canvas, this.tip), this.readout, this.legend(), this.table());
  }

  fileChoice() {
    const { files, total } = this.data;
    if (files.length < 2) return null;
    const options = files.map((file, index) => el("option", { value: index }, `${file.name} (${counted(file.size)})`));
    const choose = el("select", {}, el("option", { value: -1 }, "all files, end to end"), ...options);
    choose.addEventListener("change", () => {
      const file = files[Number(choose.value)];
      this.home = file ? [file.offset, file.offset + Math.max(file.size, 1)] : [0, Math.max(total, 1)];
      this.show(...this.home);
    });
    return el("label", {}, "File ", choose);
  }

  legend() {
    const sums = new Float64Array(PALETTE.length);
    const { sizes, zeros, categories } = this.data;
    for (let run = 0; run < sizes.length; run++) {
      sums[categories[run]] += sizes[run] - zeros[run];
      sums[ZERO] += zeros[run];
    }
    const shown = [...sums.keys()].filter((category) => sums[category]).sort((one, other) => sums[other] - sums[one]);
    return el("ul", { class: "legend", "aria-label": "Categories" }, ...shown.map((category) => el("li", { title: PALETTE[category].meaning }, swatch(category), PALETTE[category].name)));
  }

  table() {
    const { sizes, zeros, categories, tensors, files, tensorNames } = this.data;
    const rows = [...sizes.keys()];
    return asTable(`The same as a table: ${counted(sizes.length)} regions`, this.part.title, () => ({
      columns: [...(files.length > 1 ? [["file", "text"]] : []), ["offset", "offset"], ["bytes", "bytes"], ["category", "text"], ["zero bytes", "bytes"], ["region", "text"], ["tensor", "text"]],
      cells: [
        ...(files.length > 1 ? [rows.map((run) => this.fileOf(run).name)] : []),
        rows.map((run) => this.data.starts[run] - this.fileOf(run).offset), Array.from(sizes), rows.map((run) => PALETTE[categories[run]].name),
        rows.map((run) => zeros[run] || null), rows.map((run) => this.nameOf(run)), rows.map((run) => tensorNames[tensors[run]] ?? null),
      ],
    }));
  }

  wire() {
    const at = (event) => this.offsetAt(event.clientX);
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.brush) this.brush[1] = at(event);
      this.choose(this.runAt(at(event)), event);
    });
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.brush = [at(event), at(event)];
    });
    this.canvas.addEventListener("pointerup", () => {
      const [from, to] = (this.brush || [0, 0]).toSorted((one, other) => one - other);
      this.brush = null;
      if (to - from > (this.view[1] - this.view[0]) / 100) this.show(from, to);
      else this.paint();
    });
    this.canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.canvas.addEventListener("dblclick", () => this.show(...this.home));
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.7 : 1 / 0.7, at(event));
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => this.press(event));
  }

  press(event) {
    if (!this.data.sizes.length || !STEP_KEYS.has(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.tip.hidden = true;
    const last = this.data.sizes.length - 1;
    const [from, to] = this.view;
    const width = to - from;
    if (event.key === "ArrowLeft") this.step(this.chosen < 0 ? this.runAt(from) : this.chosen - 1);
    else if (event.key === "ArrowRight") this.step(this.chosen < 0 ? this.runAt(from) : this.chosen + 1);
    else if (event.key === "Home") this.step(0);
    else if (event.key === "End") this.step(last);
    else if (event.key === "PageUp") this.show(from - width / 2, to - width / 2);
    else if (event.key === "PageDown") this.show(from + width / 2, to + width / 2);
    else if (event.key === "Escape") this.show(...this.home);
    else if (event.key === "Enter") this.zoomTo(this.chosen);
    else this.zoom(event.key === "-" ? 4 : 0.25);
  }

  step(run) {
    const { starts, sizes } = this.data;
    const chosen = Math.max(0, Math.min(run, sizes.length - 1));
    const middle = starts[chosen] + sizes[chosen] / 2;
    const half = (this.view[1] - this.view[0]) / 2;
    if (middle < this.view[0] || middle > this.view[1]) this.show(middle - half, middle + half);
    this.choose(chosen);
  }

  zoomTo(run) {
    if (run < 0) return;
    const { starts, sizes } = this.data;
    this.show(starts[run] - sizes[run] / 2, starts[run + 1] + sizes[run] / 2);
  }

  zoom(factor, around) {
    const [from, to] = this.view;
    const { starts, sizes } = this.data;
    const middle = around ?? (this.chosen >= 0 ? starts[this.chosen] + sizes[this.chosen] / 2 : (from + to) / 2);
    const width = (to - from) * factor;
    this.show(middle - width / 2, middle + width / 2);
  }

  show(from, to) {
    const total = Math.max(this.data.total, 1);
    const width = Math.min(Math.max(to - from, Math.min(16, total)), total);
    const start = Math.max(0, Math.min(from, total - width));
    this.view = [start, start + width];
    this.paint();
  }

  find(text) {
    const wanted = text.trim();
    if (!wanted) return false;
    const { sizes, starts, tensors, tensorNames, files } = this.data;
    if (/^(0x[0-9a-f]+|[\d,]+)$/i.test(wanted)) {
      const file = files.find((one) => one.offset === this.home[0]) || files[0];
      return this.reach(this.runAt(Math.min(file.offset + Number(wanted.replaceAll(",", "")), this.data.total - 1)));
    }
    const needle = wanted.toLowerCase();
    for (let step = 1; step <= sizes.length; step++) {
      const run = (Math.max(this.chosen, -1) + step) % sizes.length;
      if (this.nameOf(run).toLowerCase().includes(needle) || (tensorNames[tensors[run]] || "").toLowerCase().includes(needle)) return this.reach(run);
    }
    this.readout.textContent = `No region is named like “${wanted}”.`;
    return false;
  }

  reach(run) {
    if (this.data.sizes[run] < (this.view[1] - this.view[0]) / 400) this.show(this.data.starts[run] - 100 * this.data.sizes[run], this.data.starts[run] + 101 * this.data.sizes[run]);
    this.step(run);
    return true;
  }

  choose(run, event) {
    if (!this.data.sizes.length) return;
    const moved = run !== this.chosen;
    this.chosen = run;
    if (moved) this.readout.textContent = this.tell(run);
    if (event) this.point(event);
    if (moved || this.brush) this.paint();
  }

  point(event) {
    this.tip.hidden = this.chosen < 0;
    this.tip.textContent = this.readout.textContent;
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    this.tip.style.left = `${Math.max(0, Math.min(x + 12, box.width - this.tip.offsetWidth))}px`;
  }

  tell(run) {
    const { sizes, zeros, counts, categories, tensors, tensorNames, starts, files } = this.data;
    if (run < 0) return "";
    const file = this.fileOf(run);
    const from = starts[run] - file.offset;
    const what = counts[run] > 1 ? `${counted(counts[run])} small regions in ${this.nameOf(run) || "the file"}` : this.nameOf(run) || "no structure that is known";
    const tensor = tensors[run] >= 0 && counts[run] === 1 ? `, of tensor ${tensorNames[tensors[run]]}` : "";
    const zero = zeros[run] ? `, ${counted(zeros[run])} of them zero weights` : "";
    const where = files.length > 1 ? ` of ${file.name}` : "";
    return `${what}: ${PALETTE[categories[run]].name}, ${counted(sizes[run])} bytes${zero}, at byte ${counted(from)} (0x${from.toString(16)})${where}${tensor}`;
  }

  nameOf(run) {
    const { paths, parents, names } = this.data;
    const parts = [];
    for (let place = paths[run]; place > 0; place = parents[place]) parts.push(names[place]);
    return parts.reverse().join(" / ");
  }

  fileOf(run) {
    const { files } = this.data;
    let low = 0;
    let high = files.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (files[middle].first <= run) low = middle;
      else high = middle - 1;
    }
    return files[low];
  }

  runAt(offset) {
    const { starts, sizes } = this.data;
    let low = 0;
    let high = sizes.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  offsetAt(clientX) {
    const box = this.canvas.getBoundingClientRect();
    const share = Math.max(0, Math.min((clientX - box.left) / box.width, 0.999999));
    return this.view[0] + share * (this.view[1] - this.view[0]);
  }

  paint(restyled) {
    if (restyled) this.fills = null;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.canvas.clientWidth && this.data.sizes.length) paintRibbon(this);
    });
  }
}

async function drawRibbon(part, place) {
  const ribbon = new Ribbon(part, await loadRibbon(part));
  place.append(ribbon.node);
  place.ribbon = ribbon;
  searched.push((needle) => (needle && ribbon.find(needle) ? "the bytes it takes in the file" : null));
}

/* Elements of SVG, text that fits its box, and the patterns of categories. Text from files only ever becomes text nodes. */

const SVG = "http://www.w3.org/2000/svg";
const LABEL_SIZE = 12;
const rulers = new Map();
let ruler = null;

function svg(tag, properties, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties || {})) if (value != null) node.setAttribute(name, String(value));
  node.append(...children.filter((child) => child != null));
  return node;
}

/* The width of a text in pixels, as the page's font draws it. */
function textWidth(text, size = LABEL_SIZE) {
  ruler = ruler || document.createElement("canvas").getContext("2d");
  ruler.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  let width = 0;
  for (const letter of text) {
    const key = `${size}${letter}`;
    if (!rulers.has(key)) rulers.set(key, ruler.measureText(letter).width);
    width += rulers.get(key);
  }
  return width;
}

function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.floor(most / 3))}…${text.slice(-Math.floor((2 * most) / 3))}`;
}

/* As much of a text as fits, its end rather than its middle, or "" where three letters would not fit. */
function fitted(text, width, size = LABEL_SIZE) {
  if (textWidth(text, size) <= width) return text;
  let low = 3;
  let high = Math.min(text.length - 1, Math.ceil(width / 2));
  if (high < low || textWidth(shortened(text, low), size) > width) return "";
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (textWidth(shortened(text, middle), size) <= width) low = middle;
    else high = middle - 1;
  }
  return shortened(text, low);
}

/* Black or white, whichever contrasts more with a color #rrggbb. */
function inkOn(color) {
  const [red, green, blue] = [1, 3, 5].map((place) => (parseInt(color.slice(place, place + 2), 16) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 ? "#0b0f14" : "#ffffff";
}

/* The definitions of the patterns, under ids that begin with a prefix: several drawings are on a page. */
function patterns(prefix) {
  const ink = isDark() ? "rgba(0,0,0,.4)" : "rgba(255,255,255,.75)";
  const lines = { "/": ["M-1,9 L9,-1 M-9,9 L1,-1 M7,9 L17,-1"], x: ["M-1,9 L9,-1", "M-1,-1 L9,9"] };
  const made = Object.entries(lines).map(([name, paths]) =>
    svg("pattern", { id: `${prefix}-${name === "/" ? "hatched" : "crossed"}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      ...paths.map((path) => svg("path", { d: path, stroke: ink, "stroke-width": 1.4, fill: "none" }))));
  made.push(svg("pattern", { id: `${prefix}-dotted`, width: 6, height: 6, patternUnits: "userSpaceOnUse" }, svg("rect", { x: 2, y: 2, width: 1.6, height: 1.6, fill: isDark() ? "rgba(255,255,255,.5)" : "rgba(40,50,65,.5)" })));
  return svg("defs", {}, ...made);
}

function patternOf(prefix, category) {
  const name = category < 0 ? "" : { "/": "hatched", x: "crossed", ".": "dotted" }[PALETTE[category].pattern];
  return name ? `url(#${prefix}-${name})` : null;
}

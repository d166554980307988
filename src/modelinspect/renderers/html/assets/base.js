"use strict";
/* What all parts of the page share: elements, numbers, packed columns, colours. Text from files only ever becomes text nodes. */

const REPORT = JSON.parse(document.getElementById("data").textContent);
const PALETTE = REPORT.palette;
const ZERO = PALETTE.findIndex((entry) => entry.name === "zero-weights");
const COUNTED = new Intl.NumberFormat("en-US");
const repaints = [];
/* What the page's search asks: each returns what it found in words, or null. An empty text ends a search. */
const searched = [];

function el(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function section(title, kind, ...children) {
  const id = `part-${document.querySelectorAll("main > section").length + 1}`;
  const heading = title ? el("h2", { id }, title) : null;
  const made = el("section", { class: kind, "aria-labelledby": title ? id : null }, heading, ...children);
  document.getElementById("report").append(made);
  return made;
}

function counted(value) {
  return typeof value === "number" ? COUNTED.format(value) : value;
}

function signed(value) {
  return typeof value === "number" ? (value > 0 ? "+" : "") + COUNTED.format(value) : value;
}

function shareText(share) {
  const percent = 100 * share;
  if (percent > 0 && percent < 0.05) return "<0.1 %";
  return percent >= 99.95 && percent < 100 ? ">99.9 %" : `${percent.toFixed(1)} %`;
}

function sizeText(size) {
  if (typeof size !== "number") return `${size} bytes`;
  let text = `${counted(size)} byte${size === 1 ? "" : "s"}`;
  if (size >= 1024) {
    let value = size;
    let unit = "";
    for (unit of ["KiB", "MiB", "GiB", "TiB"]) {
      value /= 1024;
      if (value < 1024) break;
    }
    text += ` (${value.toFixed(1)} ${unit})`;
  }
  return text;
}

async function unpack(text) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function unpackText(text) {
  return new TextDecoder().decode(await unpack(text));
}

async function unpackJson(text) {
  return JSON.parse(await unpackText(text));
}

function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
}

function colorOf(category) {
  const entry = PALETTE[category];
  return isDark() ? entry.dark : entry.light;
}

/* The colours of the page itself, as the style sheet resolves them now. */
function inks() {
  const style = getComputedStyle(document.body);
  return { text: style.color, page: style.backgroundColor, card: getComputedStyle(document.querySelector("footer")).backgroundColor };
}

/* A square of colour with the category's pattern; its name is always beside it. */
function swatch(category) {
  const mark = el("span", { class: "swatch", "aria-hidden": "true", "data-pattern": PALETTE[category].pattern });
  const paint = () => mark.style.setProperty("--mark", colorOf(category));
  paint();
  repaints.push(paint);
  return mark;
}

function later(wait, run) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), wait);
  };
}

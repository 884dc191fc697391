"use strict";

const report = JSON.parse(document.getElementById("data").textContent);

/** What a map is chosen by. */
const PARTS = ["class", "method", "layer"];

/** The most predictions that are listed. */
const LISTED = 10;

/** The longer side of a picture as it is drawn, in pixels, at least. */
const LEAST = 720;

/** An element with attributes and children; text is always text, never markup. */
function element(tag, attributes, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

/** A link where the address is one of the web, else plain text. */
function link(text, address) {
  return /^https?:\/\//.test(address) ? element("a", { href: address, rel: "noreferrer" }, text) : text;
}

/** The bytes behind base64 and zlib. */
async function unpack(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** 255 colors, as base64 of their red, green and blue. */
function colors(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return (shade) => bytes.subarray(3 * shade, 3 * shade + 3);
}

const HEAT = colors(report.colors);
const SIGNED = colors(report.diverging);
const STD = colors(report.stds);

/** Four digits, with its sign where it is wanted; what is next to nothing beside `scale` is 0. */
function number(value, signed = false, scale = 0) {
  if (value === 0 || Math.abs(value) < scale * 1e-6) return "0";
  const size = Math.abs(value);
  const digits = size >= 1e-3 && size < 1e5 ? String(Number(size.toPrecision(4))) : size.toExponential(3);
  return (value < 0 ? "−" : signed ? "+" : "") + digits;
}

const percent = (share) => `${(100 * share).toFixed(share > 0.9995 && share < 1 ? 2 : 1)} %`;

/** Fills a canvas with the colors of shades, pixel by pixel, and an opacity from 0 to 1. */
function fill(canvas, palette, shade, opacity = () => 1) {
  const pixels = new ImageData(canvas.width, canvas.height);
  for (let place = 0; place < canvas.width * canvas.height; place++) {
    pixels.data.set(palette(shade(place)), 4 * place);
    pixels.data[4 * place + 3] = Math.round(255 * opacity(place));
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A grid of values with its colors: what is drawn and what is read under the pointer. */
class Grid {
  constructor([height, width], values, shade, palette) {
    const canvas = element("canvas", { width, height });
    fill(canvas, palette, shade);
    Object.assign(this, { height, width, values, canvas });
  }

  /** Column, row and value at a place of the area, both from 0 to 1. */
  at(across, down) {
    const column = Math.min(Math.floor(across * this.width), this.width - 1);
    const row = Math.min(Math.floor(down * this.height), this.height - 1);
    return { column, row, value: this.values[row * this.width + column] };
  }
}

/** The heat or its std, in the shades that it is drawn with. In a blend the photo is unchanged where it is cold: the opacity grows from the
 *  median on, as in the images of the tool. */
async function heatOf({ size, low, high, data }, palette) {
  const shades = new Uint8Array(await unpack(data));
  const values = Float32Array.from(shades, (shade) => low + ((high - low) * shade) / 254);
  const grid = new Grid(size, values, (place) => shades[place], palette);
  const sorted = values.map(Math.abs).sort();
  const cold = Math.min(sorted[(sorted.length - 1) >> 1], 0.8);
  const opacity = (place) => Math.min(Math.max((Math.abs(values[place]) - cold) / (1 - cold), 0), 1);
  grid.faded = element("canvas", { width: grid.width, height: grid.height });
  fill(grid.faded, palette, (place) => shades[place], opacity);
  return grid;
}

/** The signed evidence, in colors that are white at zero. */
async function rawOf({ size, data }) {
  const values = new Float32Array(await unpack(data));
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const shade = (place) => Math.round(127 + (127 * values[place]) / (largest || 1)) || 0;
  return Object.assign(new Grid(size, values, shade, SIGNED), { largest });
}

/** Where a box is, in pixels. */
function placeOf(box) {
  const [left, top, width, height] = box.map(Math.round);
  return `${left}, ${top}, ${width} × ${height}`;
}

/** A part of a picture in shares of its sides. */
function shares([x, y, width, height], [rows, columns]) {
  return { x: x / columns, y: y / rows, width: width / columns, height: height / rows };
}

/** A photo with one grid over it, and the box that it explains, in shares of the picture. */
function paint(context, photo, grid, part, share, how, smooth, box) {
  const { width, height } = context.canvas;
  const [x, y, w, h] = [part.x * width, part.y * height, part.width * width, part.height * height];
  context.globalAlpha = 1;
  context.drawImage(photo, 0, 0, width, height);
  context.save();
  const wipe = how === "wipe";
  context.beginPath();
  context.rect(0, 0, wipe ? width * share : width, height);
  context.clip();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.rect(x, y, w, h);
  context.fillStyle = `rgb(0 0 0 / ${wipe ? 0.6 : Math.min(1.2 * share, 0.6)})`;
  context.fill("evenodd");
  const colors = (!wipe && grid.faded) || grid.canvas;
  context.globalAlpha = wipe ? 0.6 : colors === grid.faded ? Math.min(1.4 * share, 1) : share;
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(colors, x, y, w, h);
  context.restore();
  if (!box) return;
  const thick = Math.max(1, Math.min(width, height) / 240);
  for (const [color, line] of [["#000", 3 * thick], ["#fff", thick]]) {
    Object.assign(context, { strokeStyle: color, lineWidth: line });
    context.strokeRect(box.x * width, box.y * height, box.width * width, box.height * height);
  }
}

/** One picture, its predictions and all its maps. */
class ImageView {
  constructor(data, place) {
    this.data = data;
    this.part = shares(data.area, data.size);
    this.boxes = data.maps.map((map) => map.box && shares(map.box, data.size));
    this.root = document.getElementById("picture").content.firstElementChild.cloneNode(true);
    this.root.id = `picture-${place}`;
    this.find = (selector) => this.root.querySelector(selector);
    const [rows, columns] = data.size;
    this.find(".name").append(data.name, element("span", { className: "size" }, `${columns} × ${rows} pixels`));
    for (const group of [".how", ".what"]) {
      for (const input of this.root.querySelectorAll(`${group} input`)) input.name = `${group}${place}`;
    }
    this.guesses();
    this.view = this.find(".view");
    this.subjects = data.maps.map((map) => this.subject(map));
    this.choices = data.maps.map((map, at) => this.choice(map, at, place));
    this.find(".maps").append(...this.choices.map((choice) => choice.label));
    this.find(".maps").hidden = data.maps.length < 2;
    if (!data.maps.every((map) => map.std)) this.find(".std").remove();
    this.pickers();
  }

  /** What a map is of; boxes of the same class are told apart by where they are. */
  subject({ label, box }) {
    return box ? `${label} at ${box.slice(0, 2).map(Math.round).join(", ")}` : label;
  }

  /** What of a map a menu has: its class, method or layer. */
  facet(place, part) {
    return part === "class" ? this.subjects[place] : this.data.maps[place][part];
  }

  /** What a map is called where it is chosen. */
  nameOf(place) {
    const { method, layer } = this.data.maps[place];
    return `${this.subjects[place]}, ${method} at ${layer}`;
  }

  /** The menus of classes, methods and layers, and of the map that is beside the chosen one. */
  pickers() {
    const { maps } = this.data;
    this.find(".pickers").hidden = maps.length < 2;
    for (const part of PARTS) {
      const picker = this.find(`.pick-${part}`);
      const names = [...new Set(maps.map((_, at) => this.facet(at, part)))];
      picker.hidden = names.length < 2;
      const menu = picker.querySelector("select");
      menu.append(...names.map((name) => element("option", { value: name }, name)));
      menu.addEventListener("change", () => this.choose(this.nearest(part, menu.value)));
    }
    const beside = this.find(".pick-beside select");
    beside.append(element("option", { value: "" }, "nothing"));
    beside.append(...maps.map((_, at) => element("option", { value: at }, this.nameOf(at))));
    beside.addEventListener("change", () => this.draw());
  }

  /** The map with this class, method or layer that has most in common with the chosen one. */
  nearest(part, value) {
    const common = (at) => PARTS.filter((other) => this.facet(at, other) === this.facet(this.at, other)).length;
    const fitting = [...this.data.maps.keys()].filter((at) => this.facet(at, part) === value);
    return fitting.reduce((best, at) => (common(at) > common(best) ? at : best));
  }

  guesses() {
    const { top } = this.data;
    const rows = top.slice(0, LISTED).map(({ class: place, label, probability, score: value, unit }) => {
      const isClass = probability !== undefined;
      const share = element("span", { className: "share-of", hidden: !isClass }, element("i", {}));
      share.firstChild.style.width = `${100 * probability}%`;
      const name = element("span", {}, label, " ", element("span", { className: "number" }, `(${place})`));
      const amount = isClass ? percent(probability) : `${number(value)} ${unit ?? ""}`;
      return element("li", {}, name, share, element("span", {}, amount));
    });
    this.find(".guesses").append(...rows);
    if (top.length > LISTED) this.find(".guesses").append(element("li", { className: "number" }, `and ${top.length - LISTED} more`));
  }

  /** The small picture of a map, by which it is chosen. */
  choice(map, at, place) {
    const input = element("input", { type: "radio", name: `map${place}`, checked: at === 0 });
    const canvas = element("canvas", {});
    const lines = [element("b", {}, this.subjects[at]), element("small", {}, `${map.method} · ${map.layer}`)];
    if (map.warnings.length) lines.push(element("small", { className: "careful" }, "⚠ see its warning"));
    input.addEventListener("change", () => this.choose(at));
    return { label: element("label", {}, input, canvas, ...lines), canvas };
  }

  /** Reads the photo and the maps, draws them, and listens. */
  async start() {
    this.photo = new Image();
    this.photo.src = this.data.photo;
    await this.photo.decode();
    const { naturalWidth: width, naturalHeight: height } = this.photo;
    const enlarge = Math.max(1, LEAST / Math.max(width, height));
    this.view.width = Math.round(enlarge * width);
    this.view.height = Math.round(enlarge * height);
    this.grids = [];
    for (const [number, map] of this.data.maps.entries()) {
      const std = map.std && (await heatOf(map.std, STD));
      this.grids.push({ heat: await heatOf(map.heat, HEAT), raw: await rawOf(map.raw), std });
      const { canvas } = this.choices[number];
      const shrink = Math.min(1, 320 / Math.max(this.view.width, this.view.height));
      canvas.width = Math.max(1, Math.round(shrink * this.view.width));
      canvas.height = Math.max(1, Math.round(shrink * this.view.height));
      paint(canvas.getContext("2d"), this.photo, this.grids[number].heat, this.part, 0.5, "blend", true, this.boxes[number]);
    }
    this.listen();
    this.choose(0);
    this.follow();
    addEventListener("hashchange", () => this.follow());
  }

  /** Chooses the map that the address names. */
  follow() {
    const [picture, map] = location.hash.slice(1).split("/map-");
    if (picture === this.root.id && this.data.maps[map]) {
      this.choose(Number(map));
      this.root.scrollIntoView();
    }
  }

  listen() {
    this.find(".controls").addEventListener("input", () => this.draw());
    this.view.addEventListener("pointermove", (event) => this.point(event));
    this.view.addEventListener("pointerdown", (event) => this.point(event));
    this.view.addEventListener("pointerleave", () => this.read(null));
    this.view.addEventListener("blur", () => this.read(null));
    this.view.addEventListener("keydown", (event) => this.step(event));
  }

  choose(place) {
    const map = this.data.maps[place];
    Object.assign(this, { map, at: place }, this.grids[place]);
    this.blank = this.heat.values.every((value) => value === 0);
    this.choices[place].label.querySelector("input").checked = true;
    for (const part of PARTS) this.find(`.pick-${part} select`).value = this.facet(place, part);
    this.find(".permalink").href = `#${this.root.id}/map-${place}`;
    const isOfClass = map.class !== null && map.probability !== null && !map.box;
    const facts = [
      ["Class", map.class === null ? map.label : `${map.label} (${map.class})`],
      ...(map.probability === null ? [] : [["Probability", percent(map.probability)]]),
      ...(map.box ? [["Box", placeOf(map.box)]] : []),
      ["Score", isOfClass ? `${number(map.score)} (${report.score})` : number(map.score)],
      ["Method", link(map.method, map.paper)],
      ["Layer", `${map.layer}, ${this.raw.height} × ${this.raw.width} cells`],
      ["Hottest", this.blank ? "zero everywhere" : `${map.peak[0]}, ${map.peak[1]}`],
    ];
    this.find("dl.map").replaceChildren(...rows(facts));
    this.find(".warnings").replaceChildren(...map.warnings.map((text) => element("li", {}, `⚠ ${text}`)));
    this.view.setAttribute("role", "img");
    this.view.setAttribute("aria-label", `${this.data.name}: ${map.label} by ${map.method} at ${map.layer}. Arrow keys read the cells.`);
    this.draw();
    this.read(null);
  }

  draw() {
    const chosen = (group) => this.find(`${group} :checked`).value;
    const [how, what] = [chosen(".how"), chosen(".what")];
    const share = this.find(".share").valueAsNumber / 100;
    const { heat, std } = this.map;
    const { largest } = this.raw;
    const [palette, low, high] = {
      heat: () => [HEAT, number(heat.low, true), number(heat.high)],
      raw: () => [SIGNED, number(-largest), number(largest, true)],
      std: () => [STD, number(std.low), number(std.high)],
    }[what]();
    paint(this.view.getContext("2d"), this.photo, this[what], this.part, share, how, what !== "raw", this.boxes[this.at]);
    const beside = this.find(".beside");
    const other = this.find(".pick-beside select").value;
    beside.hidden = other === "";
    if (!beside.hidden) {
      const canvas = beside.querySelector("canvas");
      Object.assign(canvas, { width: this.view.width, height: this.view.height });
      paint(canvas.getContext("2d"), this.photo, this.grids[other][what], this.part, share, how, what !== "raw", this.boxes[other]);
      this.find(".chosen figcaption").textContent = this.nameOf(this.at);
      beside.querySelector("figcaption").textContent = this.nameOf(other);
    }
    this.find(".chosen figcaption").hidden = beside.hidden;
    const divider = this.find(".divider");
    divider.hidden = how !== "wipe";
    divider.style.left = `${100 * share}%`;
    fill(this.find(".bar"), palette, (place) => place);
    this.find(".low").textContent = low;
    this.find(".high").textContent = high;
  }

  point(event) {
    const box = this.view.getBoundingClientRect();
    this.read({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
  }

  /** The arrow keys go from cell to cell. */
  step(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Escape") this.read(null);
    if (!step) return;
    event.preventDefault();
    const { width, height } = this.raw;
    const keep = (place, count) => Math.min(Math.max(place, 0), count - 1);
    const from = this.place ?? this.peak();
    const cell = this.raw.at((from.x - this.part.x) / this.part.width, (from.y - this.part.y) / this.part.height);
    const [column, row] = this.place ? [keep(cell.column + step[0], width), keep(cell.row + step[1], height)] : [cell.column, cell.row];
    this.read({
      x: this.part.x + ((column + 0.5) / width) * this.part.width,
      y: this.part.y + ((row + 0.5) / height) * this.part.height,
    });
  }

  /** The middle of the hottest pixel, in shares of the picture. */
  peak() {
    const [rows, columns] = this.data.size;
    return { x: (this.map.peak[0] + 0.5) / columns, y: (this.map.peak[1] + 0.5) / rows };
  }

  /** Tells the values at a place, in shares of the picture; at the hottest one where nobody points. */
  read(place) {
    this.place = place;
    const { x, y } = place ?? this.peak();
    const [rows, columns] = this.data.size;
    const pixel = [x * columns, y * rows].map(Math.floor).join(", ");
    const { part, raw } = this;
    const [across, down] = [(x - part.x) / part.width, (y - part.y) / part.height];
    const box = this.find(".cell");
    const reading = this.find(".reading");
    if (!(across >= 0 && across < 1 && down >= 0 && down < 1)) {
      box.hidden = true;
      reading.replaceChildren(`${pixel}: the network did not see this part`);
      return;
    }
    const cell = raw.at(across, down);
    const heat = this.heat.at(across, down).value;
    box.hidden = !place;
    Object.assign(box.style, {
      left: `${100 * (part.x + (cell.column / raw.width) * part.width)}%`,
      top: `${100 * (part.y + (cell.row / raw.height) * part.height)}%`,
      width: `${(100 * part.width) / raw.width}%`,
      height: `${(100 * part.height) / raw.height}%`,
    });
    reading.replaceChildren(
      place ? "pixel " : this.blank ? "zero everywhere, as at " : "hottest at ", element("b", {}, pixel),
      "  ·  heat ", element("b", {}, heat.toFixed(2).replace("-", "−")),
      ...(this.std ? ["  ·  std ", element("b", {}, this.std.at(across, down).value.toFixed(2))] : []),
      "  ·  raw evidence ", element("b", {}, number(cell.value, true, raw.largest)),
      `  ·  cell ${cell.column}, ${cell.row} of ${raw.width} × ${raw.height}`,
    );
  }
}

/** Names and values for a list of facts. */
function rows(facts) {
  return facts.flatMap(([name, ...value]) => [element("dt", {}, name), element("dd", {}, ...value)]);
}

function head() {
  const { made, images } = report;
  document.title = document.getElementById("title").textContent = `Where did ${made.model} look?`;
  const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
  const maps = images.reduce((sum, picture) => sum + picture.maps.length, 0);
  const day = new Date(1000 * made.seconds).toLocaleDateString(undefined, { dateStyle: "long" });
  document.getElementById("summary").textContent = `${count(images.length, "image", "images")}, ${count(maps, "map", "maps")} · ${day}`;
  const index = document.getElementById("index");
  index.hidden = images.length < 2;
  index.append(...images.map(({ name }, place) => element("a", { href: `#picture-${place}` }, name)));
}

function made() {
  const { made } = report;
  const papers = made.methods.flatMap(({ name, paper }, place) => [place ? ", " : "", link(name, paper)]);
  const facts = [
    ["Date", new Date(1000 * made.seconds).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC")],
    ["Model", `${made.model}: ${made.about}`],
    ["Weights", ...(made.published ? [made.weights, " (", link(made.published, made.published), ")"] : [made.weights])],
    ["SHA-256", made.sha256],
    ["License", made.license],
    ["Methods", ...papers],
    ["Images", made.preprocess],
    ...made.options.map(([name, value]) => [name, value]),
    ["Software", made.software],
    ["Command", made.command],
  ];
  const list = document.getElementById("facts");
  list.append(...rows(facts.filter(([, value]) => value !== "")));
  for (const name of list.querySelectorAll("dt")) {
    if (["SHA-256", "card", "Command"].includes(name.textContent)) name.nextElementSibling.className = "code";
  }
}

async function start() {
  head();
  made();
  const images = report.images.map((data, place) => new ImageView(data, place));
  document.getElementById("images").replaceChildren(...images.map((picture) => picture.root));
  for (const picture of images) await picture.start();
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  const text = `This page cannot be drawn here: ${error.message}. It needs a browser of 2023 or later.`;
  document.getElementById("images").prepend(element("p", { className: "notice" }, text));
});

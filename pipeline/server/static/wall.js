// The wall of thumbnails: only the rows in sight exist, whatever the number of photographs.

import { list, thumbnailUrl } from "./api.js";

const PAGE = 120;
const MOST_PAGES = 40;
const TILE = { least: 150, ratio: 0.85, gap: 8 };

export class Wall {
  constructor(element, { onOpen, onTotal }) {
    this.element = element;
    this.rows = element.querySelector("#rows");
    this.onOpen = onOpen;
    this.onTotal = onTotal;
    this.query = { filter: "all", sort: "name", search: "" };
    this.total = 0;
    this.at = 0;
    this.pages = new Map();
    this.tiles = new Map();
    element.addEventListener("scroll", () => this.#draw(), { passive: true });
    new ResizeObserver(() => this.#layout()).observe(element);
    this.rows.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.select(Number(tile.dataset.at), { open: true });
    });
  }

  /** Show another selection; the place is kept where it still exists. */
  async show(query = {}) {
    Object.assign(this.query, query);
    this.pages.clear();
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    await this.#page(0);
    this.at = Math.min(this.at, Math.max(this.total - 1, 0));
    this.#layout();
  }

  /** More photographs have become known; those in sight stay. */
  grow(total) {
    if (total === this.total) return;
    this.total = total;
    this.#layout();
  }

  /** The entry at a place of the present selection; null beyond its ends. */
  async item(at) {
    if (at < 0 || at >= this.total) return null;
    return (await this.#page(Math.floor(at / PAGE)))[at % PAGE] ?? null;
  }

  /** Renew one entry after a verdict or a correction, without moving the others. */
  renew(at, item) {
    const page = this.pages.get(Math.floor(at / PAGE));
    if (!page) return;
    page.then((items) => {
      items[at % PAGE] = item;
      const tile = this.tiles.get(at);
      if (tile) fill(tile, item, at === this.at);
    });
  }

  select(at, { open = false } = {}) {
    if (at < 0 || at >= this.total) return;
    this.tiles.get(this.at)?.setAttribute("aria-selected", "false");
    this.at = at;
    const top = Math.floor(at / this.columns) * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
    this.#draw();
    this.tiles.get(at)?.setAttribute("aria-selected", "true");
    this.element.setAttribute("aria-activedescendant", `tile-${at}`);
    if (open) this.onOpen(at);
  }

  move(columns, rows) {
    this.select(this.at + columns + rows * this.columns);
  }

  #page(number) {
    let page = this.pages.get(number);
    if (!page) {
      page = list({ ...this.query, start: number * PAGE, count: PAGE }).then((answer) => {
        if (answer.total !== this.total) {
          this.total = answer.total;
          this.#layout();
        }
        this.onTotal(answer);
        return answer.items;
      });
      page.catch(() => this.pages.delete(number));
    } else {
      this.pages.delete(number);
    }
    this.pages.set(number, page); // the latest last
    if (this.pages.size > MOST_PAGES) this.pages.delete(this.pages.keys().next().value);
    return page;
  }

  #layout() {
    const width = this.element.clientWidth - TILE.gap;
    if (width <= 0) return;
    const columns = Math.max(2, Math.floor(width / (TILE.least + TILE.gap)));
    this.columns = columns;
    this.width = width / columns;
    this.height = this.width * TILE.ratio + 32;
    this.rows.style.height = `${Math.ceil(this.total / columns) * this.height + TILE.gap}px`;
    for (const tile of this.tiles.values()) this.#place(tile);
    this.#draw();
  }

  #draw() {
    if (!this.columns) return;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(Math.floor(scrollTop / this.height) - 1, 0) * this.columns;
    const last = Math.min((Math.ceil((scrollTop + clientHeight) / this.height) + 1) * this.columns, this.total);
    for (const [at, tile] of this.tiles) {
      if (at < first || at >= last) {
        tile.remove();
        this.tiles.delete(at);
      }
    }
    for (let at = first; at < last; at++) if (!this.tiles.has(at)) this.#add(at);
  }

  #add(at) {
    const tile = document.createElement("button");
    tile.type = "button";
    tile.className = "tile";
    tile.dataset.at = at;
    tile.id = `tile-${at}`;
    tile.setAttribute("aria-posinset", at + 1);
    tile.setAttribute("aria-setsize", this.total);
    tile.tabIndex = -1;
    tile.setAttribute("role", "option");
    tile.setAttribute("aria-selected", String(at === this.at));
    this.tiles.set(at, tile);
    this.#place(tile);
    this.rows.append(tile);
    this.item(at).then((item) => {
      if (item && this.tiles.get(at) === tile) fill(tile, item);
    }, () => { tile.textContent = "cannot be read"; });
  }

  #place(tile) {
    const at = Number(tile.dataset.at), row = Math.floor(at / this.columns), column = at % this.columns;
    tile.style.left = `${TILE.gap + column * this.width}px`;
    tile.style.top = `${TILE.gap + row * this.height}px`;
    tile.style.width = `${this.width - TILE.gap}px`;
    tile.style.height = `${this.height - TILE.gap}px`;
  }
}

const VERDICTS = { accept: "✓ accepted", reject: "✗ rejected" };

function fill(tile, item) {
  const what = item.clip ? "clip" : item.faces === 1 ? "1 face" : `${item.faces} faces`;
  const image = document.createElement("img");
  image.src = thumbnailUrl(item);
  image.alt = "";
  image.decoding = "async";
  const words = document.createElement("span");
  const name = item.name.slice(item.name.lastIndexOf("/") + 1);
  words.textContent = `${item.status === "ok" ? what : item.status.replace("_", " ")} · ${name}`;
  tile.title = item.name;
  tile.replaceChildren(image, words);
  if (item.verdict || item.stale) {
    const verdict = document.createElement("span");
    verdict.className = `verdict ${item.verdict ?? ""}`;
    verdict.textContent = item.stale ? "out of date" : VERDICTS[item.verdict] ?? item.verdict;
    tile.append(verdict);
  }
}

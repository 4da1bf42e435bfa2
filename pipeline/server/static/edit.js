// The map of face numbers under edit: strokes, regions, clean-up, undo. No page here: arrays in, arrays changed.

const MOST_UNDO = 200;

export class MaskEditor {
  /** @param {{width: number, height: number, numbers: Uint16Array}} map */
  constructor(map) {
    this.map = map;
    this.done = [];
    this.undone = [];
    this.changes = 0;
    this.kept = 0;
    this.open = null;
  }

  /** Whether there is something to save. */
  get changed() { return this.changes !== this.kept; }

  /** Start a change that is undone as one. */
  begin() {
    this.open = { before: this.map.numbers.slice(), box: null };
  }

  /** End it; true if it changed anything. */
  end() {
    const { before, box } = this.open;
    this.open = null;
    if (!box) return false;
    this.done.push(patch(before, this.map, box));
    if (this.done.length > MOST_UNDO) this.done.shift();
    this.undone = [];
    this.changes += 1;
    return true;
  }

  /** Drop what has been changed since `begin`; the box that it lay in, or null. */
  abandon() {
    const { before, box } = this.open;
    this.open = null;
    if (box) putPatch(this.map, patch(before, this.map, box));
    return box;
  }

  undo() { return this.#swap(this.done, this.undone); }

  redo() { return this.#swap(this.undone, this.done); }

  #swap(from, to) {
    const change = from.pop();
    if (!change) return null;
    to.push(patch(this.map.numbers, this.map, change.box));
    putPatch(this.map, change);
    this.changes += 1;
    return change.box;
  }

  set(index, number) {
    const { numbers, width } = this.map;
    if (numbers[index] === number) return;
    numbers[index] = number;
    const x = index % width, y = (index - x) / width;
    const box = this.open.box ?? (this.open.box = [x, y, x, y]);
    if (x < box[0]) box[0] = x;
    if (y < box[1]) box[1] = y;
    if (x > box[2]) box[2] = x;
    if (y > box[3]) box[3] = y;
  }

  /** A stroke of a round brush from one point to another, in pixels; a pixel is in when its centre is. */
  stroke([x0, y0], [x1, y1], diameter, face, erase) {
    const { width, height, numbers } = this.map;
    const radius = diameter / 2, dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
    const left = Math.max(Math.floor(Math.min(x0, x1) - radius), 0);
    const right = Math.min(Math.ceil(Math.max(x0, x1) + radius), width - 1);
    const top = Math.max(Math.floor(Math.min(y0, y1) - radius), 0);
    const bottom = Math.min(Math.ceil(Math.max(y0, y1) + radius), height - 1);
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const px = x + 0.5, py = y + 0.5;
        const along = length ? Math.min(Math.max(((px - x0) * dx + (py - y0) * dy) / length, 0), 1) : 0;
        const ex = px - x0 - along * dx, ey = py - y0 - along * dy;
        if (ex * ex + ey * ey > radius * radius) continue;
        const index = y * width + x;
        if (!erase) this.set(index, face);
        else if (numbers[index] === face) this.set(index, 0);
      }
    }
  }

  /** All pixels of the superpixel at a place. */
  region(segments, x, y, face, erase) {
    const at = (px, py) => segments.labels[(py - segments.y) * segments.width + px - segments.x];
    if (x < segments.x || y < segments.y || x >= segments.x + segments.width || y >= segments.y + segments.height) return;
    const label = at(x, y);
    for (let py = segments.y; py < segments.y + segments.height; py++) {
      for (let px = segments.x; px < segments.x + segments.width; px++) {
        if (at(px, py) !== label) continue;
        const index = py * this.map.width + px;
        if (!erase) this.set(index, face);
        else if (this.map.numbers[index] === face) this.set(index, 0);
      }
    }
  }

  /** Background that a face encloses becomes face. */
  fillHoles(face) {
    const box = this.bounds(face);
    if (!box) return;
    const [x0, y0, x1, y1] = box, { width, numbers } = this.map;
    const w = x1 - x0 + 3, h = y1 - y0 + 3, outside = new Uint8Array(w * h), waiting = [0];
    outside[0] = 1;
    while (waiting.length) {
      const place = waiting.pop(), x = place % w, y = (place - x) / w;
      for (const [nx, ny] of [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]]) {
        if (nx < 0 || ny < 0 || nx >= w || ny >= h || outside[ny * w + nx]) continue;
        const mx = nx + x0 - 1, my = ny + y0 - 1;
        const inside = mx >= x0 && my >= y0 && mx <= x1 && my <= y1 && numbers[my * width + mx] === face;
        if (inside) continue;
        outside[ny * w + nx] = 1;
        waiting.push(ny * w + nx);
      }
    }
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) {
        const index = y * width + x;
        if (!outside[(y - y0 + 1) * w + x - x0 + 1] && numbers[index] === 0) this.set(index, face);
      }
    }
  }

  /** Smooth the outline: a pixel becomes what most of a square around it is. */
  smooth(face, radius = 3) {
    const box = this.bounds(face);
    if (!box) return;
    const { width, height, numbers } = this.map;
    const x0 = Math.max(box[0] - radius, 0), y0 = Math.max(box[1] - radius, 0);
    const x1 = Math.min(box[2] + radius, width - 1), y1 = Math.min(box[3] + radius, height - 1);
    const w = x1 - x0 + 2, sums = new Uint32Array(w * (y1 - y0 + 2));
    for (let y = y0; y <= y1; y++) {
      let line = 0;
      for (let x = x0; x <= x1; x++) {
        line += numbers[y * width + x] === face ? 1 : 0;
        sums[(y - y0 + 1) * w + x - x0 + 1] = sums[(y - y0) * w + x - x0 + 1] + line;
      }
    }
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) {
        const l = Math.max(x - radius, x0) - x0, r = Math.min(x + radius, x1) - x0 + 1;
        const t = Math.max(y - radius, y0) - y0, b = Math.min(y + radius, y1) - y0 + 1;
        const inside = sums[b * w + r] - sums[t * w + r] - sums[b * w + l] + sums[t * w + l];
        const most = 2 * inside > (r - l) * (b - t), index = y * width + x;
        if (most && numbers[index] === 0) this.set(index, face);
        else if (!most && numbers[index] === face) this.set(index, 0);
      }
    }
  }

  /** Give a face's pixels another number; 0 removes it. */
  renumber(face, number) {
    const { numbers } = this.map;
    for (let i = 0; i < numbers.length; i++) if (numbers[i] === face) this.set(i, number);
  }

  /** Take over a map of the same size. */
  replace(numbers) {
    for (let i = 0; i < numbers.length; i++) this.set(i, numbers[i]);
  }

  /** [left, top, right, bottom] of a face, all inside it; null if it has no pixel. */
  bounds(face) {
    const { width, height, numbers } = this.map;
    let x0 = width, y0 = height, x1 = -1, y1 = -1;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (numbers[i] !== face) continue;
        if (x < x0) x0 = x;
        if (x > x1) x1 = x;
        if (y < y0) y0 = y;
        y1 = y;
      }
    }
    return x1 < 0 ? null : [x0, y0, x1, y1];
  }

  /** The numbers in use, the smallest first. */
  present() {
    const used = new Uint8Array(65536), found = [];
    for (const number of this.map.numbers) used[number] = 1;
    for (let number = 1; number < used.length; number++) if (used[number]) found.push(number);
    return found;
  }

  /** The largest number in use. */
  highest() {
    return this.present().at(-1) ?? 0;
  }
}

function patch(numbers, { width }, box) {
  const [x0, y0, x1, y1] = box, rows = [];
  for (let y = y0; y <= y1; y++) rows.push(numbers.slice(y * width + x0, y * width + x1 + 1));
  return { box, rows };
}

function putPatch({ numbers, width }, { box: [x0, y0], rows }) {
  rows.forEach((row, i) => numbers.set(row, (y0 + i) * width + x0));
}

// The large view of one photograph: picture, masks, zoom and pan. It shows; `review.js` decides.

export const COLOURS = [
  [230, 50, 50], [50, 130, 240], [240, 170, 30], [60, 180, 90], [190, 80, 210], [30, 180, 190], [240, 110, 160], [140, 140, 40],
];
export const colourOf = (face) => COLOURS[(face - 1) % COLOURS.length];

export class View {
  constructor({ stage, sheet, photo, masks, marks }) {
    Object.assign(this, { stage, sheet, photo, masks, marks });
    this.scale = 1;
    this.offset = [0, 0];
    this.options = { opacity: 0.5, outlines: true, landmarks: false, boxes: false };
    new ResizeObserver(() => this.fit()).observe(stage);
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), [event.offsetX, event.offsetY]);
    }, { passive: false });
  }

  /** Show a photograph with its map of face numbers. */
  async show(url, alt, map, faces, { keepPlace = false } = {}) {
    const { width, height } = map;
    const isAlike = !this.sheet.hidden && this.map?.width === width && this.map?.height === height;
    this.map = map;
    this.faces = faces;
    this.sheet.hidden = false;
    this.photo.alt = alt;
    this.photo.src = url;
    for (const element of [this.photo, this.masks, this.marks]) {
      element.width = width;
      element.height = height;
    }
    this.sheet.style.width = `${width}px`;
    this.sheet.style.height = `${height}px`;
    if (!(isAlike && keepPlace)) this.fit();
    this.paint();
    this.mark();
    await this.photo.decode();
  }

  /** Show nothing: a photograph that cannot be read, or a clip. */
  clear() {
    this.map = null;
    this.faces = [];
    this.sheet.hidden = true;
    this.photo.removeAttribute("src");
  }

  fit() {
    if (!this.map) return;
    const { clientWidth, clientHeight } = this.stage;
    if (!clientWidth || !clientHeight) return;
    this.scale = Math.min(clientWidth / this.map.width, clientHeight / this.map.height);
    this.offset = [(clientWidth - this.map.width * this.scale) / 2, (clientHeight - this.map.height * this.scale) / 2];
    this.#place();
  }

  zoom(factor, [x, y]) {
    if (!this.map) return;
    const scale = Math.min(Math.max(this.scale * factor, 0.02), 40), ratio = scale / this.scale;
    this.offset = [x - (x - this.offset[0]) * ratio, y - (y - this.offset[1]) * ratio];
    this.scale = scale;
    this.#place();
  }

  pan(dx, dy) {
    this.offset = [this.offset[0] + dx, this.offset[1] + dy];
    this.#place();
  }

  /** Place of a pointer in pixels of the photograph; pixel 0 spans 0 to 1. */
  point(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [(event.clientX - left - this.offset[0]) / this.scale, (event.clientY - top - this.offset[1]) / this.scale];
  }

  set(options) {
    Object.assign(this.options, options);
    if (!this.map) return;
    this.paint();
    this.mark();
  }

  /** Paint the masks anew, inside a box [left, top, right, bottom] or everywhere. */
  paint(box = [0, 0, this.map.width - 1, this.map.height - 1]) {
    const { width, height, numbers } = this.map, { opacity, outlines } = this.options;
    const x0 = Math.max(box[0] - 1, 0), y0 = Math.max(box[1] - 1, 0);
    const x1 = Math.min(box[2] + 1, width - 1), y1 = Math.min(box[3] + 1, height - 1);
    const w = x1 - x0 + 1, image = new ImageData(w, y1 - y0 + 1), inner = Math.round(opacity * 255);
    for (let y = y0; y <= y1; y++) {
      for (let x = x0; x <= x1; x++) {
        const index = y * width + x, face = numbers[index];
        if (face === 0) continue;
        const edge = outlines && ((x > 0 && numbers[index - 1] !== face) || (x < width - 1 && numbers[index + 1] !== face) ||
          (y > 0 && numbers[index - width] !== face) || (y < height - 1 && numbers[index + width] !== face));
        const at = ((y - y0) * w + x - x0) * 4, colour = colourOf(face);
        image.data[at] = colour[0];
        image.data[at + 1] = colour[1];
        image.data[at + 2] = colour[2];
        image.data[at + 3] = edge ? 255 : inner;
      }
    }
    this.masks.getContext("2d").putImageData(image, x0, y0);
  }

  /** Draw landmarks and crops, and a box under the pointer if there is one. */
  mark(drawn = null) {
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, this.marks.width, this.marks.height);
    const thin = Math.max(1.5 / this.scale, 1);
    context.lineWidth = thin;
    for (const face of this.faces) {
      const colour = `rgb(${colourOf(face.number).join(" ")})`;
      context.strokeStyle = context.fillStyle = colour;
      if (this.options.boxes && face.box_xywh) context.strokeRect(...face.box_xywh);
      if (this.options.landmarks) for (const [x, y] of face.landmarks ?? []) context.fillRect(x + 0.5 - thin, y + 0.5 - thin, 2 * thin, 2 * thin);
    }
    if (drawn) {
      context.strokeStyle = "#fff";
      context.strokeRect(...drawn);
    }
  }

  #place() {
    this.sheet.style.transform = `translate(${this.offset[0]}px, ${this.offset[1]}px) scale(${this.scale})`;
  }
}

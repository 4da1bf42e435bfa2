// COCO's run-length code (cocoapi, common/maskApi.c): runs down the columns, background first.

/** Run lengths of a compressed string. */
export function runs(text) {
  const counts = [];
  let at = 0;
  while (at < text.length) {
    let value = 0, shift = 0, code;
    do {
      code = text.charCodeAt(at++) - 48;
      value |= (code & 0x1f) << shift;
      shift += 5;
    } while (code & 0x20);
    if (code & 0x10) value |= -1 << shift;
    if (counts.length > 2) value += counts[counts.length - 2];
    counts.push(value);
  }
  return counts;
}

/** Paint a mask of {size: [height, width], counts} into RGBA pixels of the same size, half transparent. */
export function paint(pixels, { size: [height, width], counts }, [red, green, blue], alpha = 0.5) {
  let place = 0, inside = false;
  for (const length of runs(counts)) {
    if (inside) {
      for (let i = place; i < place + length; i++) {
        const at = ((i % height) * width + Math.floor(i / height)) * 4;
        pixels[at] += (red - pixels[at]) * alpha;
        pixels[at + 1] += (green - pixels[at + 1]) * alpha;
        pixels[at + 2] += (blue - pixels[at + 2]) * alpha;
      }
    }
    place += length;
    inside = !inside;
  }
}

// All that the review page asks of its server. A stale page (another tab has saved meanwhile) gets a ConflictError.

export class ConflictError extends Error {}

async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  let message = answer.statusText;
  try {
    message = (await answer.json()).error?.message ?? message;
  } catch {
    message = message || `error ${answer.status}`; // no JSON: a proxy's own page
  }
  throw answer.status === 409 ? new ConflictError(message) : new Error(message);
}

function post(path, value) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
}

export async function list({ filter, sort, search, start, count }) {
  const query = new URLSearchParams({ filter, sort, search, start, count });
  return (await ask(`/api/photos?${query}`)).json();
}

export async function details(id) {
  return (await ask(`/api/photos/${id}`)).json();
}

export const thumbnailUrl = (item) => `/api/photos/${item.id}/thumbnail?revision=${item.revision}`;
export const photographUrl = (id) => `/api/photos/${id}/photograph`;
export const frameUrl = (id, frame) => `/api/photos/${id}/frames/${frame}/photograph`;

/** The map of face numbers: {width, height, numbers: Uint16Array}. */
export const instances = (id, { original = false } = {}) => mapFrom(`/api/photos/${id}/instances?original=${original}`);

/** The same of a frame of a clip. */
export const frameInstances = (id, frame) => mapFrom(`/api/photos/${id}/frames/${frame}/instances`);

async function mapFrom(path) {
  const answer = await ask(path);
  const [width, height] = answer.headers.get("X-Size").split("x").map(Number);
  return { width, height, numbers: new Uint16Array(await answer.arrayBuffer()) };
}

export async function saveInstances(id, map, revision) {
  const packed = new Blob([map.numbers]).stream().pipeThrough(new CompressionStream("gzip"));
  const query = new URLSearchParams({ width: map.width, height: map.height, revision });
  const answer = await ask(`/api/photos/${id}/instances?${query}`, {
    method: "PUT",
    headers: { "Content-Type": "application/octet-stream" },
    body: await new Response(packed).blob(),
  });
  return answer.json();
}

export async function discardInstances(id, revision) {
  return (await ask(`/api/photos/${id}/instances?revision=${revision}`, { method: "DELETE" })).json();
}

export async function judge(id, verdict, revision) {
  return (await post(`/api/photos/${id}/verdict`, { verdict, revision })).json();
}

/** Landmarks and network on a box that a person drew: {box_xywh, landmarks, score, segmentation}. */
export async function newFace(id, box) {
  return (await post(`/api/photos/${id}/face`, { box_xywh: box })).json();
}

/** Superpixels of a box: {x, y, width, height, labels: Uint16Array}. */
export async function superpixels(id, box, count) {
  const query = new URLSearchParams({ x: box[0], y: box[1], width: box[2], height: box[3], count });
  const answer = await ask(`/api/photos/${id}/superpixels?${query}`);
  const [x, y, width, height] = answer.headers.get("X-Box").split(",").map(Number);
  return { x, y, width, height, labels: new Uint16Array(await answer.arrayBuffer()) };
}

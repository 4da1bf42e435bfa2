// The review page: which photograph is shown, what keys and pointers mean, and when something is saved.

import * as api from "./api.js";
import { MaskEditor } from "./edit.js";
import { runs } from "./rle.js";
import { COLOURS, View, colourOf } from "./view.js";
import { Wall } from "./wall.js";

const byId = (id) => document.getElementById(id);
const TOOLS = [["brush", "Brush", "b"], ["eraser", "Eraser", "e"], ["region", "Superpixel", "p"], ["face", "New face", "n"], ["hand", "Move", "v"]];
const SUPERPIXELS = [400, 150, 50];

const view = new View({ stage: byId("stage"), sheet: byId("sheet"), photo: byId("photo"), masks: byId("masks"), marks: byId("marks") });
const wall = new Wall(byId("wall"), { onOpen: (at) => guarded(() => open(at)), onTotal: showCounts });
const state = { at: -1, photo: null, editor: null, face: 0, tool: "brush", segments: new Map(), level: 1, last: Promise.resolve(), judged: [], opening: false, frame: 0 };

const ACTIONS = [
  ["fill", "Fill holes", "f", () => edit((editor) => editor.fillHoles(state.face))],
  ["smooth", "Smooth", "m", () => edit((editor) => editor.smooth(state.face))],
  ["copy", "Copy from previous", "c", copyFromPrevious],
  ["remove", "Remove face", "x", () => edit((editor) => editor.renumber(state.face, 0))],
  ["renumber", "Other number", "i", renumber],
  ["undo", "Undo", "z", undo],
  ["redo", "Redo", "y", redo],
];

const KEYS = [
  ["→ or J", "next photograph", ["ArrowRight", "j"], () => step(1)],
  ["← or K", "previous photograph", ["ArrowLeft", "k"], () => step(-1)],
  ["A", "accept and go on", ["a"], () => judge("accept")],
  ["R", "reject and go on", ["r"], () => judge("reject")],
  ["U", "undo the last verdict", ["u"], takeBack],
  ...TOOLS.map(([tool, label, key]) => [key.toUpperCase(), label.toLowerCase(), [key], () => choose(tool)]),
  ["[ and ]", "smaller and larger brush", ["[", "]"], (key) => resize(key === "]" ? 1.25 : 0.8)],
  ["Alt or Shift", "the opposite of the tool while held", [], null],
  [", and .", "coarser and finer superpixels; of a clip the frame before and after", [",", "."], (key) => (state.photo?.frames ? showFrame(state.frame + (key === "." ? 1 : -1)) : refine(key === "." ? -1 : 1))],
  ["1 to 9", "which face is edited", [..."123456789"], (key) => pickFace(Number(key))],
  ...ACTIONS.map(([, label, key, run]) => [key.toUpperCase(), label.toLowerCase(), [key], run]),
  ["O", "masks on and off", ["o"], toggleMasks],
  ["L", "landmarks on and off", ["l"], () => byId("landmarks").click()],
  ["0", "whole photograph", ["0"], () => view.fit()],
  ["+ and −", "zoom; the wheel does too, and two fingers", ["+", "=", "-"], (key) => view.zoom(key === "-" ? 0.8 : 1.25, middle())],
  ["S", "save", ["s"], save],
  ["Esc", "back to the wall", ["Escape"], close],
  ["H or ?", "this list", ["h", "?"], () => byId("help").showModal()],
];

// What touches neither the server nor the masks does not wait for what does.
const AT_ONCE = new Set(["[", "]", ",", ".", "o", "l", "0", "+", "=", "-", "h", "?", ..."123456789", ...TOOLS.map(([, , key]) => key)]);

// ---- photographs -------------------------------------------------------------------------------------------------

async function open(at) {
  const item = await wall.item(at);
  if (!item) return;
  setOpening(true); // nothing is drawn meanwhile: it would belong to neither
  try {
    if (state.photo && !(await saved())) return;
    const photo = await api.details(item.id);
    const map = photo.shown ? await api.instances(item.id) : null;
    Object.assign(state, { at, photo, editor: map && new MaskEditor(map), segments: new Map() });
    wall.select(at);
    showView(true);
    byId("name").textContent = photo.name;
    byId("facts").textContent = facts(photo);
    say(photo.notes.join(" "), !photo.shown && !photo.clip);
    byId("drawing").hidden = !map;
    byId("frames").hidden = !photo.frames;
    byId("looking").hidden = !map && !photo.frames;
    state.face = state.editor?.present()[0] ?? 1;
    showFaces();
    showSaving();
    byId("stage").focus({ preventScroll: true });
    if (map) await view.show(api.photographUrl(item.id), photo.name, map, photo.faces).catch(() => say("the photograph cannot be shown", true));
    else if (photo.frames) await showFrame(photo.first_frame);
    else view.clear();
  } finally {
    setOpening(false);
  }
}

/** Show a frame of the clip that is open. What is asked for meanwhile comes next, what lies between is left out. */
async function showFrame(frame) {
  const { photo } = state;
  state.frame = Math.min(Math.max(frame, 0), photo.frames - 1);
  Object.assign(byId("frame"), { max: photo.frames - 1, value: state.frame });
  byId("frame-number").textContent = `${state.frame + 1} of ${photo.frames}`;
  if (photo.isLoading) return;
  photo.isLoading = true;
  byId("stage").setAttribute("aria-busy", "true");
  try {
    for (let shown = -1; shown !== state.frame && state.photo === photo;) {
      shown = state.frame;
      const map = await api.frameInstances(photo.id, shown);
      if (state.photo !== photo) return;
      await view.show(api.frameUrl(photo.id, shown), `${photo.name}, frame ${shown + 1}`, map, [], { keepPlace: photo.isSeen }).catch(() => say(`frame ${shown + 1} cannot be shown`, true));
      photo.isSeen = true; // the next ones stay where this one was moved to
    }
  } catch (error) {
    say(error.message, true);
  } finally {
    photo.isLoading = false;
    byId("stage").setAttribute("aria-busy", String(state.opening));
  }
}

function setOpening(isOpening) {
  state.opening = isOpening;
  byId("stage").setAttribute("aria-busy", String(isOpening));
}

/** The large view lies over the wall: what is below it is out of reach for keys and readers, too. */
function showView(isShown) {
  byId("view").hidden = !isShown;
  byId("bar").inert = byId("wall").inert = isShown;
}

async function step(by) {
  if (!state.photo) return wall.move(by, 0);
  if (state.at + by < 0 || state.at + by >= wall.total) return say(by > 0 ? "that was the last one" : "this is the first one");
  return open(state.at + by);
}

async function close() {
  if (!state.photo || !(await saved())) return;
  Object.assign(state, { photo: null, editor: null });
  showView(false);
  view.clear();
  say("");
  byId("wall").focus({ preventScroll: true });
}

function facts(photo) {
  const parts = [photo.status.replace("_", " ")];
  if (photo.clip) parts.unshift("clip");
  if (photo.size_wh) parts.unshift(photo.size_wh.join(" × "));
  if (photo.score !== null) parts.push(`lowest score ${photo.score.toFixed(2)}`);
  if (photo.verdict) parts.push(photo.stale ? "verdict out of date" : `${photo.verdict}ed`);
  if (photo.corrected) parts.push("corrected");
  return parts.join(" · ");
}

function renew(item) {
  Object.assign(state.photo, item);
  byId("facts").textContent = facts(state.photo);
  wall.renew(state.at, item);
}

// ---- verdicts ----------------------------------------------------------------------------------------------------

async function judge(verdict) {
  if (!state.photo || !(await saved())) return;
  const { at, photo } = state;
  const before = photo.stale ? null : photo.verdict;
  renew(await api.judge(photo.id, verdict, photo.revision));
  state.judged.push({ at, id: photo.id, before });
  counts();
  if (at + 1 < wall.total) await open(at + 1);
}

async function takeBack() {
  const last = state.judged.at(-1);
  if (!last) return say("no verdict to take back");
  if (state.photo && !(await saved())) return;
  const photo = state.photo?.id === last.id ? state.photo : await api.details(last.id);
  const item = await api.judge(last.id, last.before, photo.revision);
  state.judged.pop();
  if (state.photo?.id === last.id) {
    renew(item);
  } else if ((await wall.item(last.at))?.id === last.id) {
    wall.renew(last.at, item);
    await open(last.at);
  } else {
    say(`${item.name}: verdict taken back`); // another selection is shown by now
  }
  counts();
}

// ---- editing -----------------------------------------------------------------------------------------------------

function edit(change) {
  const { editor } = state;
  if (!editor) return;
  finishStroke();
  editor.begin();
  change(editor);
  if (editor.end()) {
    view.paint(editor.done.at(-1).box);
    showFaces();
    showSaving();
  }
}

function undo() {
  finishStroke();
  repaint(state.editor?.undo());
}

function redo() {
  finishStroke();
  repaint(state.editor?.redo());
}

function repaint(box) {
  if (!box) return;
  view.paint(box);
  showFaces();
  showSaving();
}

async function copyFromPrevious() {
  if (!state.editor) return;
  const before = await wall.item(state.at - 1);
  if (!before) return say("there is no photograph before this one");
  if (before.clip || !(await api.details(before.id)).shown) return say("the one before has no masks to copy");
  const map = await api.instances(before.id);
  if (map.width !== state.editor.map.width || map.height !== state.editor.map.height) return say("the one before has another size");
  return edit((editor) => editor.replace(map.numbers));
}

function renumber() {
  if (!state.editor) return;
  const text = prompt(`New number for face ${state.face}`, String(state.face));
  const number = Number(text);
  if (text === null) return;
  if (!Number.isInteger(number) || number < 1 || number > 65535) { say("a number from 1 to 65535 is needed"); return; }
  const old = state.face;
  edit((editor) => editor.renumber(old, number));
  for (const face of state.photo.faces) if (face.number === old) face.number = number;
  pickFace(number);
}

async function addFace(box) {
  say("looking at the face …");
  const found = await api.newFace(state.photo.id, box);
  const number = Math.max(state.editor.highest(), ...state.photo.faces.map((face) => face.number), 0) + 1;
  state.photo.faces.push({ ...found, number });
  const { size: [height, width], counts } = found.segmentation;
  edit((editor) => {
    let place = 0, inside = false;
    for (const length of runs(counts)) {
      if (inside) {
        for (let i = place; i < place + length; i++) {
          const index = (i % height) * width + Math.floor(i / height);
          if (editor.map.numbers[index] === 0) editor.set(index, number);
        }
      }
      place += length;
      inside = !inside;
    }
  });
  pickFace(number);
  view.mark();
  say(`face ${number}, score ${found.score.toFixed(2)}`);
}

async function segmentsFor([x, y]) {
  const face = state.photo.faces.find((one) => one.number === state.face);
  const { width, height } = state.editor.map;
  let box = face?.box_xywh;
  if (!box || x < box[0] || y < box[1] || x >= box[0] + box[2] || y >= box[1] + box[3]) {
    const side = Math.round(Math.min(width, height) / 2);
    box = [Math.floor(x / side) * side, Math.floor(y / side) * side, side, side];
  }
  const key = `${box}:${state.level}`;
  if (!state.segments.has(key)) state.segments.set(key, api.superpixels(state.photo.id, box, SUPERPIXELS[state.level]));
  return state.segments.get(key);
}

/** Save what was edited; false, with words, if it could not be. */
async function saved() {
  finishStroke();
  if (!state.editor?.changed) return true;
  try {
    await save();
    return true;
  } catch (error) {
    if (error instanceof api.ConflictError && confirm(`${error.message}\n\nLeave, and lose what was drawn here?`)) return true;
    say(error.message, true);
    return false;
  }
}

async function save() {
  const { photo, editor } = state;
  if (!editor?.changed) return;
  const { changes } = editor;
  renew(await api.saveInstances(photo.id, editor.map, photo.revision));
  editor.kept = changes;
  showSaving();
  say("saved");
  counts();
}

async function revert() {
  const { photo } = state;
  if (!photo) return;
  finishStroke();
  if (!photo.corrected && !state.editor?.changed) return say("nothing is drawn here");
  const lost = photo.corrected ? "Discard what was drawn and saved here, and its verdict?" : "Discard what was drawn here?";
  if (!confirm(`${lost}\n\nThe run's own masks come back; this cannot be undone.`)) return;
  if (photo.corrected) renew(await api.discardInstances(photo.id, photo.revision));
  if (!state.editor) return;
  const map = await api.instances(photo.id, { original: true });
  state.editor = new MaskEditor(map);
  view.map = map;
  view.paint();
  showFaces();
  showSaving();
  counts();
}

// ---- the panel ---------------------------------------------------------------------------------------------------

function choices(box, entries, current, pick) {
  const hadFocus = box.contains(document.activeElement);
  box.replaceChildren(...entries.map(({ value, label, colour }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", String(value === current));
    button.dataset.value = value;
    if (colour) {
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.style.background = `rgb(${colour.join(" ")})`;
      button.append(dot);
    }
    button.append(label);
    button.addEventListener("click", () => pick(value));
    return button;
  }));
  if (hadFocus) box.querySelector("[aria-checked=true]")?.focus();
}

function showFaces() {
  if (!state.editor) return;
  const numbers = state.editor.present();
  if (!numbers.includes(state.face)) numbers.push(state.face);
  choices(byId("faces"), numbers.map((number) => ({ value: number, label: String(number), colour: colourOf(number) })), state.face, pickFace);
}

function pickFace(number) {
  if (!state.editor) return;
  state.face = number;
  showFaces();
}

function choose(tool) {
  state.tool = tool;
  choices(byId("tools"), TOOLS.map(([value, label, key]) => ({ value, label: `${label} (${key.toUpperCase()})` })), tool, choose);
  byId("stage").style.cursor = tool === "hand" ? "grab" : "crosshair";
}

function resize(factor) {
  const size = byId("size");
  size.value = Math.max(1, factor > 1 ? Math.ceil(size.value * factor) : Math.floor(size.value * factor));
}

function refine(by) {
  state.level = Math.min(Math.max(state.level + by, 0), SUPERPIXELS.length - 1);
  say(`about ${SUPERPIXELS[state.level]} superpixels a face`);
}

function toggleMasks() {
  const opacity = byId("opacity");
  opacity.value = Number(opacity.value) ? 0 : 50;
  opacity.dispatchEvent(new Event("input"));
}

function showSaving() { byId("save").disabled = !state.editor?.changed; }

function say(text, isBad = false) {
  const [here, other] = byId("view").hidden ? ["notice", "message"] : ["message", "notice"];
  byId(here).textContent = text;
  byId(here).className = isBad ? "bad" : "";
  byId(other).textContent = "";
}

function showCounts({ total, judged, photographs, loading, problem }) {
  if (problem) say(problem, true);
  state.known ??= loading ? -1 : photographs;
  byId("counts").textContent = `${total.toLocaleString()} shown · ${judged.toLocaleString()} of ${photographs.toLocaleString()} judged${loading ? " · still reading" : ""}`;
}

/** While the server is still reading its manifest: show how far it is, then all of it. */
async function watchLoading() {
  for (;;) {
    const answer = await api.list({ ...wall.query, start: 0, count: 0 });
    showCounts(answer);
    wall.grow(answer.total);
    if (!answer.loading) return answer.photographs === state.known ? undefined : guarded(() => wall.show());
    state.known = -1;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

async function counts() {
  showCounts(await api.list({ ...wall.query, start: 0, count: 0 }));
}

function middle() { return [byId("stage").clientWidth / 2, byId("stage").clientHeight / 2]; }

// ---- pointers ----------------------------------------------------------------------------------------------------

const pointers = new Map();
let drag = null;

byId("stage").addEventListener("pointerdown", (event) => {
  if (state.opening || !(state.editor || state.photo?.frames)) return;
  byId("stage").setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (pointers.size > 1) {
    if (drag?.kind === "stroke") { // it was the first of two fingers
      const box = drag.editor.abandon();
      if (box) view.paint(box);
    }
    view.mark();
    drag = { kind: "pinch" };
    return;
  }
  const at = view.point(event), opposite = event.altKey || event.shiftKey || event.button === 2;
  const tool = event.button === 1 || !state.editor ? "hand" : state.tool;
  if (tool === "hand") drag = { kind: "pan" };
  else if (tool === "face") drag = { kind: "box", from: at };
  else if (tool === "region") drag = { kind: "region", at, opposite };
  else {
    const erase = (tool === "eraser") !== opposite;
    state.editor.begin();
    drag = { kind: "stroke", at, erase, editor: state.editor };
    stroke(at);
  }
});

byId("stage").addEventListener("pointermove", (event) => {
  showCursor(event);
  const before = pointers.get(event.pointerId);
  if (!before) return;
  if (drag?.kind === "pinch") pinch(event);
  else if (drag?.kind === "pan") view.pan(event.clientX - before[0], event.clientY - before[1]);
  else if (drag?.kind === "box") view.mark(boxOf(drag.from, view.point(event)));
  else if (drag?.kind === "stroke") for (const one of fine(event)) stroke(view.point(one));
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
});

for (const name of ["pointerup", "pointercancel"]) {
  byId("stage").addEventListener(name, (event) => {
    if (!pointers.delete(event.pointerId)) return;
    const ended = drag;
    if (pointers.size === 0) drag = null;
    if (ended?.kind === "stroke") finishStroke(ended);
    if (!state.editor || name === "pointercancel") return;
    if (ended?.kind === "region") guarded(() => clickRegion(ended.at, ended.opposite));
    if (ended?.kind === "box") {
      const box = boxOf(ended.from, view.point(event));
      view.mark();
      if (box[2] >= 8 && box[3] >= 8) guarded(() => addFace(box));
    }
  });
}
byId("stage").addEventListener("contextmenu", (event) => event.preventDefault());
byId("stage").addEventListener("pointerleave", () => { byId("cursor").hidden = true; });

/** The places that the pointer went through since the last event. */
function fine(event) {
  const passed = event.getCoalescedEvents?.() ?? [];
  return passed.length ? passed : [event];
}

/** Keep a stroke that has not ended yet; what comes of the pointer after that draws no more. */
function finishStroke(stroke = drag) {
  if (stroke?.kind !== "stroke") return;
  if (drag === stroke) drag = null;
  if (stroke.editor.open && stroke.editor.end()) {
    showFaces();
    showSaving();
  }
}

function stroke(to) {
  drag.editor.stroke(drag.at, to, Number(byId("size").value), state.face, drag.erase);
  if (drag.editor.open.box) {
    const reach = Number(byId("size").value) / 2 + 1;
    view.paint([
      Math.floor(Math.min(drag.at[0], to[0]) - reach), Math.floor(Math.min(drag.at[1], to[1]) - reach),
      Math.ceil(Math.max(drag.at[0], to[0]) + reach), Math.ceil(Math.max(drag.at[1], to[1]) + reach),
    ]);
  }
  drag.at = to;
}

async function clickRegion(at, erase) {
  const segments = await segmentsFor(at);
  edit((editor) => editor.region(segments, Math.floor(at[0]), Math.floor(at[1]), state.face, erase));
}

function pinch(event) {
  const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
  const before = pointers.get(event.pointerId), other = others[0];
  if (!other) return view.pan(event.clientX - before[0], event.clientY - before[1]); // the last finger
  const length = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
  const { left, top } = byId("stage").getBoundingClientRect(), now = [event.clientX, event.clientY];
  view.zoom(length(now) / Math.max(length(before), 1), [(now[0] + other[0]) / 2 - left, (now[1] + other[1]) / 2 - top]);
  return view.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
}

function boxOf([x0, y0], [x1, y1]) {
  const { width, height } = state.editor.map;
  const clamp = (value, most) => Math.round(Math.min(Math.max(value, 0), most));
  const left = clamp(Math.min(x0, x1), width), top = clamp(Math.min(y0, y1), height);
  return [left, top, clamp(Math.max(x0, x1), width) - left, clamp(Math.max(y0, y1), height) - top];
}

function showCursor(event) {
  const isBrush = state.editor && (state.tool === "brush" || state.tool === "eraser"), cursor = byId("cursor");
  cursor.hidden = !isBrush || event.pointerType === "touch";
  if (!isBrush) return;
  const { left, top } = byId("stage").getBoundingClientRect(), size = Number(byId("size").value) * view.scale;
  Object.assign(cursor.style, { left: `${event.clientX - left}px`, top: `${event.clientY - top}px`, width: `${size}px`, height: `${size}px` });
}

// ---- wiring ------------------------------------------------------------------------------------------------------

/** Run something that may fail after all that was asked before; what went wrong is said. */
function guarded(run) {
  state.last = state.last.then(run).catch((error) => say(error.message, true));
  return state.last;
}

addEventListener("keydown", (event) => {
  if (event.target.matches("input[type=search], input[type=text], select") || byId("help").open) return;
  if (event.ctrlKey || event.metaKey) {
    const run = { s: save, z: event.shiftKey ? redo : undo, y: redo }[event.key.toLowerCase()];
    if (run && state.photo) {
      event.preventDefault();
      guarded(run);
    }
    return;
  }
  if (!state.photo && wallKey(event)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.target.matches("input[type=range]") && key.startsWith("Arrow")) return;
  const entry = KEYS.find(([, , keys]) => keys.includes(key));
  if (!entry || (!state.photo && !["h", "?", "u"].includes(key))) return;
  event.preventDefault();
  if (AT_ONCE.has(key)) entry[3](key);
  else if (!event.repeat || key.startsWith("Arrow")) guarded(() => state.photo || key === "u" ? entry[3](key) : null);
});

function wallKey(event) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], j: [1, 0], k: [-1, 0] };
  if (event.key in moves) wall.move(...moves[event.key]);
  else if (event.key === "Enter") guarded(() => open(wall.at));
  else return false;
  event.preventDefault();
  return true;
}

const reload = (query) => guarded(() => wall.show(query));
byId("filter").addEventListener("change", (event) => reload({ filter: event.target.value }));
byId("sort").addEventListener("change", (event) => reload({ sort: event.target.value }));
let typing = 0;
byId("search").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => reload({ search: event.target.value }), 200);
});
byId("frame").addEventListener("input", (event) => showFrame(Number(event.target.value)));
byId("opacity").addEventListener("input", (event) => view.set({ opacity: event.target.value / 100 }));
for (const name of ["outlines", "landmarks", "boxes"]) byId(name).addEventListener("change", (event) => view.set({ [name]: event.target.checked }));
const BUTTONS = {
  back: close, previous: () => step(-1), next: () => step(1), accept: () => judge("accept"), reject: () => judge("reject"),
  unjudge: takeBack, save, revert,
};
for (const [id, run] of Object.entries(BUTTONS)) byId(id).addEventListener("click", () => guarded(run));
byId("help-button").addEventListener("click", () => byId("help").showModal());
for (const [id, label, key, run] of ACTIONS) {
  const button = document.createElement("button");
  button.type = "button";
  button.id = id;
  button.textContent = label;
  button.title = `key ${key.toUpperCase()}`;
  button.addEventListener("click", () => guarded(run));
  byId("actions").append(button);
}
for (const [keys, what] of KEYS) {
  const dt = document.createElement("dt"), dd = document.createElement("dd");
  dt.textContent = keys;
  dd.textContent = what;
  byId("keys").append(dt, dd);
}
addEventListener("beforeunload", (event) => { if (state.editor?.changed) event.preventDefault(); });
choose("brush");
guarded(() => wall.show()).then(watchLoading);

export { COLOURS, state };

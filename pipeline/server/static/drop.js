import { paint } from "./rle.js";

const COLOURS = [[230, 40, 40], [40, 130, 240], [240, 170, 20], [60, 180, 90], [190, 70, 210], [20, 180, 190]];
const AT_ONCE = 2;
const DOWNLOADS = [
  ["Mask", "image/png", "mask", "png"],
  ["Instances", "image/png", "instances", "png"],
  ["Cut-out", "image/png", "cutout", "png"],
  ["Everything", "application/zip", "mask", "zip"],
];

const byId = (id) => document.getElementById(id);
const waiting = [];
const refused = [];
let working = 0;
let done = 0;
let token = "";

async function ask(file, accept, output = "mask") {
  for (;;) {
    const headers = { Accept: accept, "Content-Type": "application/octet-stream" };
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(`/segment?output=${output}`, { method: "POST", headers, body: file });
    if (answer.status === 503) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      continue;
    }
    if (!answer.ok) {
      const error = new Error((await answer.json()).error?.message ?? answer.statusText);
      error.needsToken = answer.status === 401;
      if (error.needsToken) byId("token-row").hidden = false;
      throw error;
    }
    return answer;
  }
}

async function show(file, card) {
  const words = card.querySelector("p");
  const answer = await (await ask(file, "application/json")).json();
  const count = answer.faces.length;
  words.textContent = count === 0 ? "no face found" : count === 1 ? "1 face" : `${count} faces`;
  await draw(file, answer, card.querySelector("canvas"));
  const buttons = card.querySelector(".buttons");
  for (const [label, accept, output, ending] of DOWNLOADS) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-label", `${label} of ${file.name}`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        save(await (await ask(file, accept, output)).blob(), `${file.name}.${output}.${ending}`);
      } catch (error) {
        words.textContent = error.message;
      } finally {
        button.disabled = false;
      }
    });
    buttons.append(button);
  }
}

async function draw(file, answer, canvas) {
  const [width, height] = answer.size_wh;
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    picture = null; // a format that this browser cannot show: the masks alone
  }
  canvas.width = width;
  canvas.height = height;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${file.name} with ${answer.faces.length} masks`);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (picture) context.drawImage(picture, 0, 0, width, height);
  const image = context.getImageData(0, 0, width, height);
  answer.faces.forEach((face, i) => paint(image.data, face.segmentation, COLOURS[i % COLOURS.length]));
  if (!picture) for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255;
  context.putImageData(image, 0, 0);
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function add(files) {
  for (const file of files) {
    const card = document.createElement("article");
    card.className = "result";
    card.innerHTML = '<canvas width="4" height="3"></canvas><div class="words"><h2></h2><p>waiting</p><div class="buttons"></div></div>';
    card.querySelector("h2").textContent = file.name;
    byId("results").prepend(card);
    waiting.push([file, card]);
  }
  work();
}

async function work() {
  while (working < AT_ONCE && waiting.length > 0) {
    const [file, card] = waiting.shift();
    working += 1;
    card.querySelector("p").textContent = "looking for faces";
    card.querySelector("p").className = "";
    show(file, card)
      .catch((error) => {
        const words = card.querySelector("p");
        words.textContent = error.message;
        words.className = "bad";
        if (error.needsToken) refused.push([file, card]);
      })
      .finally(() => {
        working -= 1;
        done += 1;
        byId("state").textContent = `${done} done, ${waiting.length + working} to do`;
        work();
      });
  }
}

const drop = byId("drop");
byId("files").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});
byId("use-token").addEventListener("click", () => {
  token = byId("token").value;
  byId("token-row").hidden = true;
  done -= refused.length;
  waiting.push(...refused.splice(0));
  work();
});

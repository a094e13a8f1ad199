"use strict";
const $ = (id) => document.getElementById(id);
const MOST = 10; // classes shown
let asked = 0; // an answer that comes after a newer question is dropped
let about = { explains: false, dark: true };

fetch("about").then((r) => r.json()).then((found) => {
  about = found;
  $("model").textContent = `${found.model} · ${found.classes.length} classes: ${found.classes.slice(0, 12).join(", ")}` +
    (found.classes.length > 12 ? ", …" : "");
  clearPad();
});
$("here").textContent = location.href;

async function classify(blob, preview = true) {
  const mine = ++asked;
  $("said").classList.add("busy");
  preview_of(preview ? blob : null);
  let found;
  try {
    const reply = await fetch(about.explains ? "predict?explain=1" : "predict", { method: "POST", body: blob });
    found = await reply.json();
  } catch {
    found = { error: "The server does not answer." };
  }
  if (mine !== asked) return;
  $("said").classList.remove("busy");
  if (found.error) preview_of(null); // what is no image shows nothing
  show(found);
}

function preview_of(blob) {
  $("drop").style.backgroundImage = blob ? `url(${URL.createObjectURL(blob)})` : "";
  $("drop").querySelector("span").hidden = Boolean(blob);
}

function show(found) {
  $("error").hidden = !found.error;
  $("answer").hidden = Boolean(found.error);
  if (found.error) { $("error").textContent = found.error; return; }
  $("class").textContent = `${found.class}, ${percent(found.probability)}`;
  // Sorted here: names that are numbers come first in any object of a browser's.
  const order = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, MOST);
  $("bars").replaceChildren(...order.map(([name, p]) => {
    const line = document.createElement("li");
    const bar = Object.assign(document.createElement("progress"), { value: p, max: 1 });
    bar.setAttribute("aria-label", name);
    line.append(text("span", name), bar, text("span", percent(p)));
    return line;
  }));
  const pictures = [];
  if (found.seen) pictures.push(picture(found.seen, "as the model sees it"));
  if (found.saliency) pictures.push(picture(found.saliency.image, `${found.saliency.method}: red speaks for it`));
  $("pictures").replaceChildren(...pictures);
  $("nearest").hidden = !found.nearest;
  if (found.nearest) {
    $("nearest").querySelector(".strip").replaceChildren(
      ...found.nearest.map((n) => picture(n.image, `${n.class} (${n.distance.toPrecision(3)})`)));
  }
}

function percent(p) { return `${(100 * p).toFixed(p >= 0.995 || p < 0.01 ? 1 : 0)}%`; }
function text(tag, words) { return Object.assign(document.createElement(tag), { textContent: words }); }
function picture(source, words) {
  const figure = document.createElement("figure");
  figure.append(Object.assign(document.createElement("img"), { src: source, alt: words }), text("figcaption", words));
  return figure;
}

// Choose, photograph, drop, paste.
for (const id of ["file", "photo"]) $(id).addEventListener("change", (e) => e.target.files[0] && classify(e.target.files[0]));
for (const kind of ["dragover", "dragenter"]) {
  document.addEventListener(kind, (e) => { e.preventDefault(); $("drop").classList.add("over"); });
}
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (e) => {
  e.preventDefault();
  $("drop").classList.remove("over");
  if (e.dataTransfer.files[0]) classify(e.dataTransfer.files[0]);
});
document.addEventListener("paste", (e) => {
  const item = [...e.clipboardData.items].find((i) => i.type.startsWith("image/"));
  if (item) classify(item.getAsFile());
});
$("drop").addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") $("file").click(); });

// The camera of this machine.
let stream = null;
$("camera").addEventListener("click", async () => {
  if (stream) { stopCamera(); return; }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("video").querySelector("video").srcObject = stream;
    $("video").hidden = false;
  } catch (error) {
    show({ error: `No camera: ${error.message || "this page may not use it"}.` });
  }
});
$("take").addEventListener("click", () => {
  const video = $("video").querySelector("video");
  const still = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  still.getContext("2d").drawImage(video, 0, 0);
  still.toBlob((blob) => classify(blob), "image/png");
  stopCamera();
});
function stopCamera() {
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  $("video").hidden = true;
}

// Drawing: classified when the pen is lifted.
const canvas = $("pad").querySelector("canvas");
const pen = canvas.getContext("2d");
let drawing = false;
function clearPad() {
  pen.fillStyle = about.dark ? "black" : "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(pen, { strokeStyle: about.dark ? "white" : "black", lineWidth: 22, lineCap: "round", lineJoin: "round" });
}
function at(e) {
  const box = canvas.getBoundingClientRect();
  return [(e.clientX - box.left) * canvas.width / box.width, (e.clientY - box.top) * canvas.height / box.height];
}
clearPad();
$("draw").addEventListener("click", () => { $("pad").hidden = !$("pad").hidden; });
$("clear").addEventListener("click", clearPad);
canvas.addEventListener("pointerdown", (e) => {
  canvas.setPointerCapture(e.pointerId);
  drawing = true;
  pen.beginPath();
  pen.moveTo(...at(e));
  pen.lineTo(...at(e));
  pen.stroke();
});
canvas.addEventListener("pointermove", (e) => { if (drawing) { pen.lineTo(...at(e)); pen.stroke(); } });
canvas.addEventListener("pointerup", () => {
  drawing = false;
  canvas.toBlob((blob) => classify(blob, false), "image/png");
});

// Names of labels come from a model file: they are only ever text.
const at = (id) => document.getElementById(id);

async function about() {
  const model = await (await fetch("/v1/model")).json();
  at("model").textContent = model.model;
  const { height, width } = model.image;
  const size = `${width} x ${height}`;
  at("facts").textContent = `${model.labels.length} labels · ${size} · ${model.device}`;
}

async function ask(files) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  at("said").textContent = "…";
  at("top").replaceChildren();
  const answer = await fetch("/v1/predict", { method: "POST", body: form });
  const said = await answer.json();
  if (!answer.ok) {
    const detail = typeof said.detail === "string" ? said.detail : "it was refused";
    at("said").textContent = detail;
    return;
  }
  const [prediction] = said.predictions;
  at("said").textContent = prediction.incomplete ?? "";
  for (const { label, probability } of prediction.top) {
    const line = document.createElement("li");
    line.textContent = `${label} ${(100 * probability).toFixed(1)} %`;
    at("top").append(line);
  }
}

function failed(error) {
  at("said").textContent = `no answer: ${error.message}`;
}

const drop = at("drop");
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  ask(event.dataTransfer.files).catch(failed);
});
at("files").addEventListener("change", (event) => ask(event.target.files).catch(failed));
about().catch(failed);

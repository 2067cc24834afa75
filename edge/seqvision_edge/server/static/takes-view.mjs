// The takes of the folder: counted, shown, renamed, deleted.  Names are text, never markup.

const byId = (id) => document.getElementById(id);

/** Show takes, newest first; `onShow`, `onLabel`, `onDelete` get the take and the button. */
export function showTakes(takes, { onShow, onLabel, onDelete }) {
  const counts = new Map();
  for (const { label } of takes) counts.set(label, (counts.get(label) ?? 0) + 1);
  byId("sum").textContent = takes.length ? String(takes.length) : "";
  byId("none").hidden = takes.length > 0;
  byId("table").hidden = takes.length === 0;
  byId("counts").replaceChildren(...[...counts].map(([label, count]) => chip(label, count)));
  const rows = takes.map((take) => row(take, { Show: onShow, Rename: onLabel, Delete: onDelete }));
  byId("rows").replaceChildren(...rows.reverse());
}

function chip(label, count) {
  const [item, name, number] = ["li", "span", "span"].map((kind) => document.createElement(kind));
  [name.className, number.className] = ["name", "number"];
  [name.textContent, number.textContent] = [label, count];
  item.append(name, number);
  return item;
}

function row(take, acts) {
  const line = document.createElement("tr");
  const [label, person, buttons] = [0, 1, 2].map(() => document.createElement("td"));
  label.textContent = take.label;
  person.textContent = [take.person, number(take.path)].filter(Boolean).join(" · ");
  for (const [name, act] of Object.entries(acts)) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.ariaLabel = `${name} ${take.path}`;
    button.addEventListener("click", () => act(take));
    buttons.append(button);
  }
  line.append(label, person, buttons);
  return line;
}

/** Return the end of a take's path: it distinguishes takes of one person and label. */
function number(path) {
  return path.match(/(\d+)\.\w+$/)?.[1] ?? "";
}

/** Show a dialog; return the given label, "" for yes, null for no. */
export function showDialog(title, yes, label = null) {
  const dialog = byId("dialog");
  byId("dialog-title").textContent = title;
  byId("dialog-yes").textContent = yes;
  byId("dialog-field").hidden = label === null;
  byId("dialog-label").required = label !== null;
  byId("dialog-label").value = label ?? "";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = () =>
      resolve(dialog.returnValue !== "yes" ? null : label === null ? "" : byId("dialog-label").value);
    dialog.addEventListener("close", closed, { once: true });
  });
}

// The search over everything, on "/" or Ctrl-K. /search does the same without.
const pages = [["/", "Requests", "what waits for you"], ["/access", "Access", "what there is, for how long"], ["/ask", "Ask for access", "the catalog"], ["/identities", "Identities", "the inventory"],
  ["/targets", "Targets", "systems"], ["/policy", "Policy", "rules, tests, trying"], ["/log", "Ledger", "what happened"], ["/keys", "Keys", "passkeys and SSH keys"]];
let dialog, input, list, places = pages, chosen = 0, back;

async function get(path) {
  const answer = await fetch(path, {credentials: "same-origin", redirect: "error"});
  return answer.ok ? answer.json() : {};
}

async function load() {
  const [r, i, e] = await Promise.all([get("/v1/requests?limit=200"), get("/v1/documents?kind=identity"), get("/v1/documents?kind=entitlement")]);
  places = [...pages,
    ...(r.requests || []).map((q) => ["/requests/" + q.id, q.terms.entitlement.name, `${q.terms.subject.name}, ${q.status}`, q.id + " " + (q.terms.ticket || "")]),
    ...(i.documents || []).map((d) => ["/identities/" + d.name, d.name, d.title || ""]),
    ...(e.documents || []).map((d) => ["/ask/" + d.name, d.name, "ask for: " + (d.title || "")])];
  show();
}

function show() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = places.filter((p) => words.every((w) => p.slice(1).join(" ").toLowerCase().includes(w))).slice(0, 12);
  chosen = Math.max(0, Math.min(chosen, found.length - 1));
  list.replaceChildren(...found.map(([path, name, what], n) => {
    const item = document.createElement("li"), small = document.createElement("small");
    item.id = "place-" + n;
    item.role = "option";
    item.ariaSelected = String(n === chosen);
    item.dataset.path = path;
    small.textContent = " " + what.replace(/\P{L}/gu, (c) => /[\p{M}\p{N}\p{P}\p{S} ]/u.test(c) ? c : "\ufffd");
    item.append(name, small);
    item.addEventListener("click", () => location.assign(path));
    return item;
  }));
  if (found.length) input.setAttribute("aria-activedescendant", "place-" + chosen);
  else input.removeAttribute("aria-activedescendant");
}

function make() {
  dialog = document.createElement("dialog");
  dialog.id = "palette";
  dialog.ariaLabel = "Go to";
  input = document.createElement("input");
  input.type = "text";
  input.role = "combobox";
  input.ariaLabel = "Search pages, requests, identities, entitlements";
  input.ariaExpanded = "true";
  input.autocomplete = "off";
  input.setAttribute("aria-controls", "places");
  list = document.createElement("ul");
  list.id = "places";
  list.role = "listbox";
  list.ariaLabel = "Found";
  dialog.append(input, list);
  document.body.append(dialog);
  input.addEventListener("input", () => { chosen = 0; show(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") chosen++;
    else if (event.key === "ArrowUp") chosen = Math.max(0, chosen - 1);
    else if (event.key === "Enter" && list.children[chosen]) location.assign(list.children[chosen].dataset.path);
    else return;
    event.preventDefault();
    show();
  });
  dialog.addEventListener("close", () => back?.focus());
}

addEventListener("keydown", (event) => {
  const writing = event.target.closest?.("input, textarea, select, [contenteditable]");
  const wanted = event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey || event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey);
  if (!wanted) return;
  event.preventDefault();
  if (!dialog) make();
  if (dialog.open) return;
  back = document.activeElement;
  input.value = "";
  chosen = 0;
  dialog.showModal();
  show();
  load().catch(() => {});
});

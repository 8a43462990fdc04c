// Says what would become of an ask while it is written. The page does the same
// without, with a button; everything is decided on the server.
const form = document.getElementById("ask"), place = document.getElementById("verdict");
const names = {passkey: "a passkey", ssh: "an SSH key", "oidc-fresh": "a new sign-in"};

function element(name, text, className) {
  const e = document.createElement(name);
  if (text) e.textContent = visible(text);
  if (className) e.className = className;
  return e;
}

// What no eye sees stands there as its escape.
function visible(text) {
  return String(text).replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

function asked() {
  const data = new FormData(form), text = (name) => (data.get(name) || "").trim();
  const ask = {entitlement: form.dataset.entitlement, subject: text("subject"), for: text("for"), scope: {}};
  for (const [name, value] of data) {
    if (name.startsWith("scope.") && value.trim()) ask.scope[name.slice(6)] = value.trim();
  }
  for (const name of ["ticket", "why", "recipient"]) if (text(name)) ask[name] = text(name);
  if (text("publicKey")) ask.publicKey = data.get("publicKey");
  if (text("ends")) ask.ends = text("ends").split(/[\s,]+/).filter(Boolean);
  if (text("start")) ask.startAt = text("start").slice(0, 16) + ":00Z";
  return ask;
}

function stage(s) {
  const item = element("li"), who = (s.approvers || []).map((a) => `${a.name} (${a.as})`).join(", ");
  item.append(element("strong", s.name), `: ${s.quorum} of ${visible(who) || "nobody who may"}`);
  if (names[s.proof]) item.append(`, with at least ${names[s.proof]}`);
  return item;
}

function reason(word, text, className) {
  const item = element("li", "", className);
  item.append(element("strong", word), " " + visible(text));
  return item;
}

function show(v) {
  const stages = v.stages || [], list = element("ul", "", "reasons");
  const says = !v.allowed ? "Policy would refuse this." : stages.length ? "Policy would allow this, once these people approve:" : "Policy would allow this; nobody would be asked.";
  const parts = [element("p", says, "verdict " + (v.allowed ? "yes" : "no"))];
  if (stages.length) {
    const order = element("ol", "", "stages");
    order.append(...stages.map(stage));
    parts.push(order);
  }
  for (const r of v.reasons || []) if (r.deny) list.append(reason("missing", r.text, "no"));
  for (const r of v.reasons || []) if (!r.deny) list.append(reason("ok", r.text, "yes"));
  if (v.maxFor) list.append(element("li", `Policy allows at most ${v.maxFor}.`));
  if (v.decideIn) list.append(element("li", `Undecided, it lapses after ${v.decideIn}.`));
  for (const end of v.ends || []) list.append(element("li", `Policy ends it with ${end}.`));
  place.replaceChildren(...parts, list);
}

let waiting, latest = 0;

async function preview() {
  const mine = ++latest;
  let said, ok;
  try {
    const answer = await fetch("/v1/preview", {
      method: "POST", credentials: "same-origin", redirect: "error",
      headers: {"Content-Type": "application/json"}, body: JSON.stringify(asked()),
    });
    [ok, said] = [answer.ok, await answer.json()];
  } catch {
    [ok, said] = [false, {detail: "the server cannot be reached"}];
  }
  if (mine !== latest) return;
  if (ok) show(said.verdict);
  else place.replaceChildren(element("p", said.detail || said.title, "verdict no"));
}

if (form) {
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(preview, 300);
  });
  if (!place.querySelector(".verdict")) preview();
}

// Keeps a page as it is on the server, and its times as they are now. It only
// fetches what a reload would; what somebody is reading to decide about stays.
"use strict";

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// load reads a page as a document. No text of it becomes script or markup by itself.
function load(path) {
  return new Promise((done, fail) => {
    const x = new XMLHttpRequest();
    x.open("GET", path);
    x.setRequestHeader("Writ-Live", "1"); // nobody asked for it: it does not prolong the session
    x.responseType = "document";
    x.onload = () => (x.status === 200 && x.response ? done(x.response) : fail(new Error("no page")));
    x.onerror = () => fail(new Error("no answer"));
    x.send();
  });
}

// touched reports whether somebody has begun to fill something in, or is in it.
function touched(part) {
  return part.contains(document.activeElement) || part.querySelector("details[open]") !== null ||
    [...part.querySelectorAll("input:not([type=hidden])")].some((i) => i.value !== i.defaultValue);
}

async function refresh(root) {
  const fresh = await load(location.pathname);
  const next = fresh.getElementById(root.id);
  if (!next) return false;
  const stay = next.dataset.digest !== root.dataset.digest;
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    if (!now || part.outerHTML === now.outerHTML) continue;
    if (stay || touched(part)) document.getElementById("changed").hidden = false;
    else part.replaceWith(document.importNode(now, true));
  }
  return !stay;
}

async function follow(root) {
  let after = Number(root.dataset.after);
  for (;;) {
    if (document.hidden) {
      await sleep(2000);
      continue;
    }
    try {
      const answer = await fetch(`${root.dataset.wait}?after=${after}&for=50s`, {credentials: "same-origin", redirect: "error"});
      if (!answer.ok) return;
      const {seq} = await answer.json();
      if (seq <= after) continue;
      after = seq;
      if (!(await refresh(root))) return;
    } catch {
      await sleep(5000);
    }
  }
}

// span is a length of time in its two largest units, as the server writes it.
function span(seconds) {
  const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60, s = seconds % 60;
  if (d >= 14 || (d > 0 && h === 0)) return `${d}d`;
  if (d > 0) return `${d}d ${h}h`;
  if (h > 0) return m > 0 ? `${h}h ${m}m` : `${h}h`;
  if (m >= 10 || (m > 0 && s === 0)) return `${m}m`;
  return m > 0 ? `${m}m ${s}s` : `${s}s`;
}

function tick() {
  for (const t of document.querySelectorAll("time")) {
    const left = Math.round((Date.parse(t.dateTime) - Date.now()) / 1000);
    t.textContent = left > 0 ? `in ${span(left)}` : left < 0 ? `${span(-left)} ago` : "now";
  }
}

const root = document.querySelector("[data-wait]");
if (root) follow(root);
setInterval(tick, 1000);

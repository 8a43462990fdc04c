// Asks the browser for a passkey, and then sends the form as it would have been
// sent without. Everything is decided on the server.
"use strict";

async function challenge(form, body) {
  const answer = await fetch(form.dataset.challenge, {
    method: "POST", credentials: "same-origin", redirect: "error",
    headers: body ? {"Content-Type": "application/json"} : {}, body,
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail || said.title);
  return said;
}

const timeout = 240000;

async function sign(form) {
  const c = await challenge(form, JSON.stringify({decision: "approve"}));
  if (c.digest !== form.dataset.digest) throw new Error("The terms have changed: read them again.");
  const keys = (c.keys || []).filter((k) => k.method === "passkey" && k.origin === location.origin);
  if (keys.length === 0) throw new Error("None of your passkeys counts here yet.");
  const made = await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON({
    challenge: c.challenge, rpId: keys[0].rp, userVerification: "required", timeout,
    allowCredentials: keys.map((k) => ({type: "public-key", id: k.credential})),
  })});
  const {id, response: {clientDataJSON, authenticatorData, signature}} = made.toJSON();
  form.elements.assertion.value = JSON.stringify({
    nonce: c.nonce, credential: id, proof: {clientDataJSON, authenticatorData, signature},
  });
}

async function enrol(form) {
  const c = await challenge(form);
  const {rp, user, name, algorithms, keys} = form.dataset;
  const made = await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON({
    challenge: c.challenge, rp: {id: rp, name: "Writ"}, user: {id: user, name, displayName: name}, timeout, attestation: "none",
    pubKeyCredParams: JSON.parse(algorithms).map((alg) => ({type: "public-key", alg})),
    excludeCredentials: (JSON.parse(keys) || []).filter((k) => k.method === "passkey").map((k) => ({type: "public-key", id: k.credential})),
    authenticatorSelection: {userVerification: "required", residentKey: "preferred"},
  })});
  form.elements.registration.value = JSON.stringify({nonce: c.nonce, proof: made.toJSON()});
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.passkey) return;
  event.preventDefault();
  const say = form.querySelector("output"), button = form.querySelector("button");
  button.disabled = true;
  try {
    if (!window.PublicKeyCredential) throw new Error("This browser has no passkeys.");
    await (form.dataset.passkey === "get" ? sign(form) : enrol(form));
    form.submit();
  } catch (err) {
    say.textContent = err.name === "NotAllowedError" ? "The passkey was not used." :
      err.name === "InvalidStateError" ? "This device has a passkey here already." : err.message;
    button.disabled = false;
  }
});

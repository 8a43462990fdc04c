// Finds a record in the ledger: reads the signed checkpoint and the tiles of
// hashes (c2sp.org/tlog-tiles), and computes the root from the record up, as
// RFC 6962, section 2.1.1 says. Nothing that the page says is believed.
const at = document.getElementById("proof"), list = at.querySelector("ol"), result = at.querySelector("[role=status]"), button = at.querySelector("button");
const tileWidth = 256, base64 = (bytes) => btoa(String.fromCharCode(...bytes)), unbase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const joined = (...parts) => Uint8Array.from(parts.flatMap((p) => [...p]));
const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
const node = (left, right) => sha256([1], left, right);

function step(says, value) {
  const item = document.createElement("li");
  item.append(says);
  if (value) {
    const code = document.createElement("code");
    code.textContent = value;
    item.append(" ", code);
  }
  list.append(item);
}

async function read(path) {
  const answer = await fetch("/ledger/" + path, {credentials: "same-origin", redirect: "error"});
  if (!answer.ok) throw new Error(`the ledger does not give ${path}`);
  return answer;
}

// The name of a tile: 1234067 is x001/x234/067.
function tilePath(level, n, width) {
  const parts = [String(n % 1000).padStart(3, "0")];
  for (n = Math.floor(n / 1000); n > 0; n = Math.floor(n / 1000)) parts.unshift("x" + String(n % 1000).padStart(3, "0"));
  return `tile/${level}/${parts.join("/")}` + (width === tileWidth ? "" : `.p/${width}`);
}

const tiles = new Map();

// The hash at a place of a level of the tree, every 8th of which is stored.
async function hashAt(height, n, size) {
  const level = Math.floor(height / 8), below = height % 8;
  if (below > 0) return node(await hashAt(height - 1, 2 * n, size), await hashAt(height - 1, 2 * n + 1, size));
  const count = Math.floor(size / 256 ** level), tile = Math.floor(n / tileWidth);
  const path = tilePath(level, tile, Math.min(count - tile * tileWidth, tileWidth));
  if (!tiles.has(path)) tiles.set(path, new Uint8Array(await (await read(path)).arrayBuffer()));
  const from = (n % tileWidth) * 32, hash = tiles.get(path).subarray(from, from + 32);
  if (hash.length !== 32) throw new Error(`${path} is too short`);
  return hash;
}

// The root of the records from begin to end.
async function rootOf(begin, end, size) {
  const count = end - begin;
  if (Number.isInteger(Math.log2(count)) && begin % count === 0) return hashAt(Math.log2(count), begin / count, size);
  const split = splitOf(count);
  return node(await rootOf(begin, begin + split, size), await rootOf(begin + split, end, size));
}

function splitOf(count) {
  let k = 1;
  while (2 * k < count) k *= 2;
  return k;
}

// What stands beside the way from a record up to the root, the lowest first.
async function path(pos, begin, end, size) {
  if (end - begin === 1) return [];
  const split = begin + splitOf(end - begin);
  return pos < split ? [...await path(pos, begin, split, size), ["right", await rootOf(split, end, size)]] :
    [...await path(pos, split, end, size), ["left", await rootOf(begin, split, size)]];
}

// Whether the log's key signed the text: Ed25519, c2sp.org/signed-note.
async function signed(text, signatures, vkey) {
  const [name, , ...rest] = vkey.split("+"), encoded = rest.join("+"); // base64 has a plus, too
  const key = unbase64(encoded), line = signatures.split("\n").find((l) => l.startsWith(`— ${name} `));
  if (!line || key[0] !== 1) return false;
  const publicKey = await crypto.subtle.importKey("raw", key.subarray(1), "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", publicKey, unbase64(line.split(" ")[2]).subarray(4), new TextEncoder().encode(text));
}

async function check() {
  const pos = Number(at.dataset.pos), record = unbase64(at.dataset.record);
  const note = await (await read("checkpoint")).text(), cut = note.indexOf("\n\n"), text = note.slice(0, cut + 1), [origin, count, root] = text.split("\n");
  const size = Number(count);
  step(`The checkpoint of ${origin} says that ${size} events have the root`, root);
  try {
    if (!await signed(text, note.slice(cut + 2), at.dataset.key)) throw new Error("the log's key did not sign the checkpoint");
    step("The log's key signed exactly that:", at.dataset.key);
  } catch (err) {
    if (err.name !== "NotSupportedError") throw err;
    step("This browser cannot check Ed25519: the signature is left to writ verify.");
  }
  if (!(pos < size)) throw new Error(`the published checkpoint does not cover event ${pos} yet; try again when the witnesses have cosigned it`);
  let hash = await sha256([0], record);
  step(`SHA-256 of the ${record.length} bytes of the record, as a leaf, is`, base64(hash));
  for (const [side, other] of await path(pos, 0, size, size)) {
    hash = side === "left" ? await node(other, hash) : await node(hash, other);
    step(`with ${base64(other)} on its ${side} that makes`, base64(hash));
  }
  if (base64(hash) !== root) throw new Error("the root comes out otherwise: this record is not in that ledger");
}

button.hidden = false;
button.addEventListener("click", async () => {
  button.disabled = true;
  list.replaceChildren();
  tiles.clear();
  result.className = "verdict";
  try {
    await check();
    result.textContent = "That is the signed root: the record is in the ledger, at this position.";
    result.classList.add("yes");
  } catch (err) {
    result.textContent = "Not shown: " + err.message;
    result.classList.add("no");
  }
  button.disabled = false;
});

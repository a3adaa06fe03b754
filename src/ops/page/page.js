"use strict";
// Asks /status.json every other second and shows what it says. Text of peers goes in by textContent only.

const PERIOD = 2, HIDDEN = 10, LONGEST = 30, PATIENCE = 5, HISTORY = 150;   // seconds; looks that lines show

const $ = (id) => document.getElementById(id);
let last = null, before = null, heard = null, failures = 0, why = "", timer = 0, asking = false;
let sort = { column: "Now", down: false };
const history = new Map();

// Units

function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (number >= 999.5 && unit < units.length - 1) { number /= 1000; unit += 1; }
  return [unit === 0 || number >= 99.95 ? number.toFixed(0) : number.toFixed(1), units[unit]];
}
const size = (number) => bytes(number).join(" ");
const speed = (number) => number === null ? "" : `${size(number)}/s`;
const count = (number) => number.toLocaleString("en");
const few = (number) => number === null ? "" : number < 10 && number > 0 ? number.toFixed(1) : count(Math.round(number));
const plural = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;

function time(seconds) {
  const s = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(Math.floor(s / 60) % 60)}m`;
  return `${Math.floor(s / 86400)}d ${two(Math.floor(s / 3600) % 24)}h`;
}
const took = (seconds) => seconds < 1 ? `${(seconds * 1000).toFixed(seconds < .01 ? 1 : 0)} ms` : `${seconds.toFixed(1)} s`;

// What is derived from two looks

const named = (pool, backend) => `${pool.name}/${pool.removed}/${backend.address}/${backend.sorry}`;

/** How fast `read` grows from the look before to this one, or null where nothing is known of it. */
function rate(read) {
  if (!before) return null;
  const seconds = last.uptime_seconds - before.uptime_seconds, was = read(before), is = read(last);
  return seconds > 0 && was !== undefined && is !== undefined ? Math.max(0, is - was) / seconds : null;
}
function backendRate(key, field) {
  return rate((look) => {
    for (const pool of look.pools) for (const of of pool.backends) if (named(pool, of) === key) return of[field];
    return undefined;
  });
}
function transferRate(session) {
  return rate((look) => {
    const same = look.live?.sessions.find((of) => of.id === session.id);
    return same && session.transfer && same.transfers === session.transfers ? same.transfer?.bytes ?? 0 : undefined;
  });
}
const backends = (look) => look.pools.flatMap((pool) => pool.backends);
const sum = (field) => (look) => backends(look).reduce((all, of) => all + of[field], 0);

/** The state of a backend in one word, with what it means for its colour. */
function word(backend) {
  const standing = { removed: "removed", disabled: "disabled", draining: "draining" }[backend.standing];
  if (standing) return [standing, "calm", "■"];
  if (backend.state === "down") return ["down", "bad", "✕"];
  if (backend.state === "ejected") return [`ejected ${Math.ceil(backend.ejected_seconds ?? 0)}s`, "warn", "▲"];
  if (backend.weight === 0) return ["up, weight 0", "calm", "■"];
  if (backend.full) return ["full", "warn", "▲"];
  if (backend.share_percent < 100) return [`ramping ${backend.share_percent}%`, "warn", "▲"];
  return ["up", "good", "●"];
}

// The document. A cell is text, or a list of nodes; what has not changed is not touched.

function element(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}
const badge = ([text, kind, mark]) => element("span", { className: `badge ${kind}` }, `${mark} ${text}`);
const under = (text) => element("span", { className: "under" }, text);

function put(node, content) {
  const parts = Array.isArray(content) ? content : [content];
  const print = parts.map((part) => part.nodeType ? part.outerHTML : part).join("\0");
  if (node.shown === print) return;
  node.shown = print;
  node.replaceChildren(...parts);
}

/** Fills a table: `columns` of {name, kind, cell(item)}, rows kept by `key`, so that a selection survives. */
function fill(table, columns, items, key, nothing) {
  if (!table.tHead) {
    const heads = columns.map((of) => {
      const head = element("th", { scope: "col", className: of.kind ?? "" });
      head.append(of.order ? element("button", { type: "button", onclick: () => reorder(of) }, of.name) : of.name);
      return head;
    });
    table.append(element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}));
  }
  const body = table.tBodies[0], rows = new Map([...body.rows].map((row) => [row.key, row]));
  const wanted = items.map((item) => {
    const row = rows.get(key(item)) ?? element("tr", { key: key(item) }, ...columns.map((of, index) => {
      const cell = element(index === 0 ? "th" : "td", { className: of.kind ?? "" });
      if (index === 0) cell.scope = "row"; else cell.dataset.label = of.name;
      return cell;
    }));
    columns.forEach((of, index) => {
      const content = of.cell(item), cell = row.cells[index];
      put(cell, Array.isArray(content) ? [element("span", {}, ...content)] : content);
      cell.classList.toggle("none", content === "");
      cell.classList.toggle("zero", content === "0" || content === "0 B/s");
    });
    return row;
  });
  if (wanted.length === 0) {
    wanted.push(rows.get("") ?? element("tr", { key: "" }, element("td", { className: "empty", colSpan: columns.length })));
    put(wanted[0].cells[0], nothing);
  }
  if (wanted.length !== body.rows.length || wanted.some((row, index) => body.rows[index] !== row)) body.replaceChildren(...wanted);
}

const BACKENDS = (pool) => [
  { name: "Backend", kind: "alone name", cell: (of) => [of.name, ...(of.sorry ? [" ", badge(["sorry", "calm", "◆"])] : []), under(of.address)] },
  { name: "State", kind: "state nowrap", cell: (of) => [badge(word(of)), under(`for ${time(of.since_seconds)}`)] },
  { name: "Weight", kind: "n narrow", cell: (of) => of.configured_weight !== null && of.configured_weight !== of.weight
      ? [count(of.weight), under(`set, not ${of.configured_weight}`)] : count(of.weight) },
  { name: "Sessions", kind: "n", cell: (of) => of.max_sessions ? `${count(of.sessions)} of ${count(of.max_sessions)}` : count(of.sessions) },
  { name: "Transfers", kind: "n narrow", cell: (of) => count(of.transfers) },
  { name: "New/s", kind: "n narrow", cell: (of) => few(backendRate(named(pool, of), "sessions_total")) },
  { name: "To clients", kind: "n", cell: (of) => speed(backendRate(named(pool, of), "to_client_bytes")) },
  { name: "From clients", kind: "n", cell: (of) => speed(backendRate(named(pool, of), "to_backend_bytes")) },
  { name: "Last check", kind: "wide check", cell: checks },
];

function checks(backend) {
  if (backend.checks.length === 0) return "not checked";
  return backend.checks.map((check) => element("span", { className: check.error === null ? "under" : "failed under" },
    check.error === null ? `passed ${time(check.seconds_ago)} ago in ${took(check.took_seconds)}`
      : `✕ failed ${time(check.seconds_ago)} ago: ${check.error}`));
}

function showPools() {
  const place = $("pools"), known = new Map([...place.children].map((section) => [section.key, section]));
  const sections = last.pools.map((pool) => {
    const key = `${pool.name}/${pool.removed}`;
    let section = known.get(key);
    if (!section) {
      section = element("section", { key }, element("div", { className: "title" },
        element("h2", {}, `Pool ${pool.name}`), element("span", {}), element("p", { className: "note" })),
        element("div", { className: "scroll" }, element("table", { className: "even" })));
      section.querySelector("table").setAttribute("aria-label", `Backends of pool ${pool.name}`);
    }
    const [, state, note] = section.firstChild.children;
    put(state, [badge(pool.removed ? ["removed", "calm", "■"] : !pool.available ? ["no backend is up", "bad", "✕"]
      : pool.sorry_in_use ? ["quorum lost, sorry server in use", "bad", "✕"]
      : !pool.quorum ? ["quorum lost", "warn", "▲"] : ["available", "good", "●"])]);
    const up = pool.backends.filter((of) => of.state === "up" && !of.sorry).length, affinity = pool.affinity;
    put(note, [`${up} of ${pool.backends.filter((of) => !of.sorry).length} up`, pool.algorithm,
      affinity ? `affinity ${time(affinity.timeout_seconds)}, ${plural(affinity.entries, "client")}` : "no affinity",
      ...(pool.waiting ? [`${plural(pool.waiting, "session")} waiting for room`] : [])].join(" · "));
    fill(section.querySelector("table"), BACKENDS(pool), pool.backends, (of) => `${of.address}/${of.sorry}`, "This pool has no backends.");
    return section;
  });
  if (sections.length !== place.children.length || sections.some((of, index) => place.children[index] !== of)) place.replaceChildren(...sections);
}

const LISTENERS = [
  { name: "Address", kind: "wide alone", cell: (of) => of.address },
  { name: "Pool", kind: "wide", cell: (of) => of.pool },
  { name: "Sessions", kind: "n wide", cell: (of) => count(of.sessions) },
  { name: "Passive ports", kind: "wide", cell: (of) => `${plural(of.leases, "lease")}, ${count(of.passive_ports_taken)} of ${count(of.passive_ports)} ports taken` },
];

const known = (text) => text ?? "–";
const SESSIONS = [
  { name: "Client", kind: "wide alone client nowrap", order: (of) => of.client, cell: (of) => [of.client, under(`session ${of.id} at ${of.listener}`)] },
  { name: "User", kind: "who wide", order: (of) => known(of.user), cell: (of) => [known(of.user)] },
  { name: "Backend", kind: "who wide", order: (of) => known(of.backend), cell: (of) => [known(of.backend)] },
  { name: "Now", kind: "wide file", order: (of) => of.transfer ? -1 / of.id : of.id, cell: now },
  { name: "Moved", kind: "n", order: (of) => of.transfer ? of.transfer.bytes : -1, cell: (of) => of.transfer ? size(of.transfer.bytes) : "" },
  { name: "Speed", kind: "n", order: (of) => transferRate(of) ?? -1, cell: (of) => of.transfer ? speed(transferRate(of)) : "" },
  { name: "Age", kind: "n", order: (of) => of.age_seconds, cell: (of) => time(of.age_seconds) },
  { name: "Idle", kind: "n", order: (of) => of.idle_seconds, cell: (of) => of.transfer ? "" : time(of.idle_seconds) },
  { name: "In all", kind: "n sum", order: (of) => of.to_client_bytes + of.to_backend_bytes, cell: (of) => [`↓ ${size(of.to_client_bytes)}`, under(`↑ ${size(of.to_backend_bytes)}`)] },
];

function now(session) {
  const transfer = session.transfer;
  if (!transfer) return session.phase;
  const arrow = transfer.direction === "to_client" ? "↓ download" : "↑ upload";
  const parts = [`${transfer.verb} ${transfer.file ?? ""}`];
  const known = transfer.size !== null && transfer.size !== undefined && transfer.size >= transfer.bytes && transfer.size > 0;
  const percent = known ? Math.floor(transfer.bytes / transfer.size * 100) : null;
  parts.push(under(`${arrow} for ${time(transfer.seconds)}${known ? `, ${percent}% of ${size(transfer.size)}` : ""}`));
  if (known) {
    const inner = element("i", {});
    inner.style.width = `${percent}%`;
    parts.push(element("span", { className: "bar" }, inner));
  }
  return parts;
}

function reorder(column) {
  sort = { column: column.name, down: sort.column === column.name ? !sort.down : false };
  showSessions();
}

function showSessions() {
  const table = $("sessions"), live = last.live;
  table.parentNode.hidden = $("filter").hidden = !live;
  if (!live) { put($("sessions-note"), `${count(last.sessions)} live. ${last.hidden}`); return; }
  const wanted = $("filter-text").value.trim().toLowerCase();
  const texts = (of) => [of.client, of.user, of.backend, of.phase, of.transfer?.verb, of.transfer?.file, `${of.id}`];
  const shown = live.sessions.filter((of) => !wanted || texts(of).some((text) => text?.toLowerCase().includes(wanted)));
  const { order } = SESSIONS.find((of) => of.name === sort.column), down = sort.down ? -1 : 1;
  const keys = new Map(shown.map((of) => [of, order(of)]));
  shown.sort((a, b) => (keys.get(a) < keys.get(b) ? -down : keys.get(a) > keys.get(b) ? down : a.id - b.id));
  const more = live.total - live.sessions.length;
  put($("sessions-note"), more > 0 ? `${count(live.total)} live, the ${count(live.sessions.length)} busiest of them below, ${count(more)} more`
    : `${count(live.total)} live`);
  fill(table, SESSIONS, shown, (of) => of.id, wanted ? "No session that is listed fits the filter." : "No client is connected.");
  for (const head of table.tHead.rows[0].cells) {
    if (head.textContent === sort.column) head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

const TILES = [
  { name: "Sessions", value: () => last.sessions, parts: (value) => [count(value), ""] },
  { name: "Transfers", value: () => sum("transfers")(last), parts: (value) => [count(value), ""] },
  { name: "New sessions", value: () => rate(sum("sessions_total")), parts: (value) => [few(value), "/s"] },
  { name: "To clients", value: () => rate(sum("to_client_bytes")), parts: (value) => { const [n, unit] = bytes(value); return [n, `${unit}/s`]; } },
  { name: "From clients", value: () => rate(sum("to_backend_bytes")), parts: (value) => { const [n, unit] = bytes(value); return [n, `${unit}/s`]; } },
  { name: "Backends up", value: () => backends(last).filter((of) => of.state === "up").length,
    parts: (value) => [count(value), `of ${count(backends(last).length)}`] },
];

function showTiles() {
  const place = $("tiles");
  if (!place.firstChild) {
    const svg = () => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      node.setAttribute("viewBox", `0 0 ${HISTORY} 26`);
      node.setAttribute("preserveAspectRatio", "none");
      node.setAttribute("aria-hidden", "true");
      node.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
      return node;
    };
    place.append(...TILES.map((of) => element("div", {}, svg(), element("dt", {}, of.name), element("dd", {}))));
  }
  TILES.forEach((tile, index) => {
    const value = tile.value(), [graph, , text] = place.children[index].children;
    if (value === null) return put(text, "–");
    const [number, unit] = tile.parts(value);
    put(text, [number, element("small", {}, unit)]);
    const line = history.get(tile.name) ?? [];
    line.push(value);
    history.set(tile.name, line.slice(-HISTORY));
    const top = Math.max(...line, 1e-9), flat = line.every((of) => of === line[0]);
    const points = line.slice(-HISTORY).map((of, at, all) => `${HISTORY - all.length + at + 1},${(25 - 23 * of / top).toFixed(1)}`);
    graph.firstChild.setAttribute("points", flat ? "" : points.join(" "));
  });
}

/** Whether all is well, for the badge and for the tab. */
function verdict() {
  if (failures > 0) return ["no answer", "bad", "✕"];
  if (last.draining) return ["draining: no new sessions", "warn", "▲"];
  if (last.not_ready) return [`not ready: ${last.not_ready}`, "bad", "✕"];
  const sick = backends(last).filter((of) => of.standing === "serving" && of.state !== "up").length;
  if (sick > 0) return [`ready, ${plural(sick, "backend")} not up`, "warn", "▲"];
  return ["ready", "good", "●"];
}

function showHealth() {
  const [text, kind, mark] = last || failures ? verdict() : ["asking", "calm", "■"];
  $("state").className = `badge ${kind}`;
  put($("state"), `${mark} ${text}`);
  const title = kind === "good" ? "ftplb" : `${mark} ${text} · ftplb`;
  if (document.title !== title) document.title = title;
  const lost = failures > 0;
  document.body.classList.toggle("stale", lost);
  $("trouble").hidden = !lost;
  if (lost) {
    const since = heard ? `since ${heard.toLocaleTimeString()}, ${time((Date.now() - heard) / 1000)} ago` : "yet";
    put($("trouble"), `The balancer has not answered ${since} (${why}).${last ? " What is shown below is from then." : ""} Asking again by itself.`);
  }
  if (last) put($("about"), [`version ${last.version}`, `up ${time(last.uptime_seconds)}`, location.host,
    ...(last.older_sessions ? [`${plural(last.older_sessions, "session")} left in the process before`] : [])].join(" · "));
}

function show() {
  $("main").hidden = false;
  showTiles();
  showPools();
  fill($("listeners"), LISTENERS, last.listeners, (of) => of.address, "There are no listeners.");
  showSessions();
}

async function ask() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch("/status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE * 1000) });
    if (!answer.ok) throw new Error(`it says ${answer.status}: ${(await answer.text()).trim().slice(0, 200)}`);
    const look = await answer.json();
    // Another process, or one and the same look: nothing grows between them.
    const fits = last && look.uptime_seconds > last.uptime_seconds;
    if (!last || look.uptime_seconds !== last.uptime_seconds) { before = fits ? last : null; last = look; }
    heard = new Date();
    failures = 0;
    show();
  } catch (error) {
    failures += 1;
    why = error.name === "TimeoutError" ? `nothing within ${PATIENCE} s` : error.message.startsWith("it says") ? error.message : "no connection";
  }
  asking = false;
  showHealth();
  const period = failures ? Math.min(LONGEST, PERIOD * 2 ** (failures - 1)) : document.hidden ? HIDDEN : PERIOD;
  timer = setTimeout(ask, period * 1000);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
$("filter-text").addEventListener("input", () => { if (last) showSessions(); });
setInterval(() => { if (failures) showHealth(); }, 1000);
ask();

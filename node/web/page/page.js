"use strict";
// Asks /stats and /readyz every few seconds and shows what they say. Text only
// ever enters as text: names of peers and errors are not ours.

const every = 3000, giveUp = 5000;
const byId = (id) => document.getElementById(id);

function element(tag, text, kind) {
	const e = document.createElement(tag);
	if (text !== undefined) e.textContent = text;
	if (kind) e.className = kind;
	return e;
}

const whole = new Intl.NumberFormat("en");
const number = (n) => n === undefined || n === null ? "–" : whole.format(n);

function span(seconds) {
	if (!isFinite(seconds)) return "–";
	const s = Math.abs(seconds);
	if (s < 1) return Math.round(seconds * 1000) + " ms";
	if (s < 120) return seconds.toFixed(s < 10 ? 1 : 0) + " s";
	if (s < 7200) return Math.round(seconds / 60) + " min";
	if (s < 172800) return Math.round(seconds / 3600) + " h";
	return Math.round(seconds / 86400) + " d";
}

function bytes(n) {
	for (const unit of ["B", "KiB", "MiB", "GiB"]) {
		if (n < 1024) return n.toFixed(n < 10 && unit !== "B" ? 1 : 0) + " " + unit;
		n /= 1024;
	}
	return n.toFixed(1) + " TiB";
}

function since(stats, at) {
	return at ? span((Date.parse(stats.at) - Date.parse(at)) / 1000) + " ago" : "never";
}

function card(name, rows) {
	const shown = rows.filter((r) => r && r[1] !== undefined && r[1] !== "");
	if (shown.length === 0) return null;
	const box = element("section", undefined, "card");
	box.append(element("h2", name));
	const list = element("dl");
	for (const [what, value, kind] of shown) list.append(element("dt", what), element("dd", String(value), kind));
	box.append(list);
	return box;
}

function cards(s) {
	const services = s.node ? s.node.services || [] : [];
	const counts = (name) => (services.find((x) => x.name === name) || {}).counts || {};
	const out = [];
	const c = s.chain;
	if (c) out.push(card("Chain", [
		["head", number(c.head)], ["seen", since(s, c.head_at)], ["finalised", number(c.finalized)],
		["endpoint", c.endpoint], ["answers", c.up ? "yes" : "no", c.up ? "good" : "bad"], ["last error", c.last_error, "warn"],
	]));
	const weights = services.find((x) => x.name === "weights"), w = (weights || {}).weights;
	if (w) out.push(card(w.shadow ? "Weights (shadow: not set)" : "Weights", [
		["set", since(s, w.set_at)], ["last update", w.last_update ? `${number(w.last_update)}, ${number(w.blocks_since_update)} blocks ago` : "none"],
		["epoch", number(w.epoch)], ["last outcome", w.outcome], ["next possible", w.next_block ? number(w.next_block) : ""],
		["under way", w.phase], ["reveal due", w.reveal_due_block ? number(w.reveal_due_block) : ""],
		["missed in a row", w.missed_epochs || "", "bad"], ["variation to the chain", w.variation == null ? "unknown" : w.variation.toFixed(4)], ["reason", w.reason || weights.reason, "warn"],
	]));
	const k = counts("communication");
	out.push(card("Sessions", s.role === "miner"
		? [["validators", number(k.validators)], ["connected", number(k.connected)], ["lost", number(k.lost)]]
		: [["open", number(k.sessions)], ["authenticated", number(k.authenticated)], ["refused", number(k.refused)],
			...Object.entries((s.sockets || {}).connections || {}).map(([t, n]) => [t, number(n)])]));
	const p = counts("predictions");
	const refused = Object.entries(p).filter(([n]) => n.startsWith("rejected_")).reduce((sum, [, n]) => sum + n, 0);
	out.push(card("Predictions", s.role === "miner"
		? [["held", number(p.held)], ["submitted", number(k.submitted)], ["confirmed", number(k.confirmed)], ["rejected", number(k.rejected)], ["settled", number(p.settled)]]
		: [["held", number(p.held)], ["stored", number(p.stored)], ["duplicates", number(p.duplicates)], ["rejected", number(refused)], ["settled", number(p.settled)]]));
	const g = counts("games");
	out.push(card("Games", [["known", number(g.known)], g.unsettled_1d === undefined ? null : ["without result", number((g.unsettled_3h || 0) + g.unsettled_1d + g.unsettled_older)],
		...(s.feeds || []).map((f) => [f.name, since(s, f.good), f.refused ? "bad" : undefined])]));
	out.push(card("Node", [
		["up for", span((Date.parse(s.at) - Date.parse(s.started)) / 1000)], ["events", number(s.loop.events)], ["lag", span(s.loop.lag_ns / 1e9)],
		s.store ? ["free", bytes(s.store.free_bytes)] : null, s.clock ? ["clock", span(s.clock.offset_ns / 1e9)] : null,
		...(s.queues || []).filter((q) => q.length || q.dropped).map((q) => [q.name, `${number(q.length)} wait, ${number(q.dropped)} dropped`]),
	]));
	return out.filter((x) => x);
}

function table(id, head, rows) {
	const first = element("tr");
	for (const h of head) first.append(element("th", h));
	const lines = rows.map((row) => {
		const line = element("tr");
		for (const cell of row) {
			const value = cell && typeof cell === "object" ? cell : { text: cell };
			line.append(element("td", value.text, value.kind || (typeof value.text === "number" ? "number" : undefined)));
		}
		return line;
	});
	byId(id).replaceChildren(first, ...lines);
}

function show(s, ready) {
	document.title = `${s.role} ${s.netuid} – bettensor`;
	byId("title").textContent = `bettensor ${s.role}`;
	byId("who").textContent = `${s.network} · subnet ${s.netuid}${s.uid === undefined ? "" : ` · UID ${s.uid}`} · ${s.hotkey} · ${s.version}`;
	const state = byId("state");
	state.className = ready.ok ? "good" : "warn";
	state.textContent = ready.ok ? "ready" : "not ready: " + ready.reasons.map((r) => `${r.code} (${r.why})`).join("; ");
	byId("alarms").replaceChildren(...(s.alarms || []).map((a) => element("p", `${a.code}, ${since(s, a.since)}: ${a.why}`)));
	byId("cards").replaceChildren(...cards(s));
	const n = s.node || {};
	table("services", ["service", "state", "counts"], (n.services || []).map((x) => [x.name,
		{ text: x.reason ? `${x.state}: ${x.reason}` : x.state, kind: x.state === "ok" ? "good" : "bad" },
		Object.entries(x.counts || {}).filter(([, v]) => v).map(([k, v]) => `${k} ${number(v)}`).join(", ")]));
	table("tasks", ["task", "runs", "failed", "mean", "last error"], (n.tasks || []).map((t) => [t.name, t.runs, t.failures, span(t.mean_ns / 1e9), t.last_error || ""]));
	table("topics", ["event", "published", "delivered", "dropped"], (n.topics || []).map((t) => [t.name, t.published, t.delivered, t.dropped]));
}

async function ask(path) {
	const answer = await fetch(path, { signal: AbortSignal.timeout(giveUp), cache: "no-store" });
	return answer.json();
}

async function turn() {
	try {
		const [stats, ready] = await Promise.all([ask("stats"), ask("readyz")]);
		if (stats.error) throw new Error(stats.error);
		show(stats, ready);
		byId("asked").textContent = new Date().toLocaleTimeString();
	} catch (err) {
		byId("state").className = "bad";
		byId("state").textContent = "no answer: " + err.message;
	}
	setTimeout(turn, every);
}

turn();

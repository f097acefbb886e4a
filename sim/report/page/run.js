"use strict";
// Draws what the page's data tells, and nothing else: names from scenarios reach
// the page as text only.
(() => {
	const byId = (id) => document.getElementById(id);

	function svg(name, attributes, ...children) {
		const e = document.createElementNS("http://www.w3.org/2000/svg", name);
		for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
		for (const c of children) e.append(c);
		return e;
	}
	function html(name, attributes, ...children) {
		const e = document.createElement(name);
		for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
		e.append(...children);
		return e;
	}

	// The newest lines of an excerpt are nearest to the failure.
	const excerpt = byId("excerpt");
	if (excerpt) excerpt.scrollTop = excerpt.scrollHeight;

	if (!byId("data")) return;
	const data = JSON.parse(byId("data").textContent);
	const view = { from: 0, to: data.end };
	const least = Math.max(1000, data.end / 2000); // of a stretch, in ms
	const charts = []; // functions that draw

	const two = (n) => String(n).padStart(2, "0");
	function clock(ms, seconds) {
		const d = new Date(data.start + ms);
		return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}${seconds ? ":" + two(d.getUTCSeconds()) : ""}`;
	}
	function lasting(ms) {
		const s = Math.round(ms / 1000);
		if (s < 120) return s + " s";
		if (s < 7200) return Math.round(s / 60) + " min";
		if (s < 172800) return (s / 3600).toFixed(1) + " h";
		return (s / 86400).toFixed(1) + " days";
	}
	function short(x) {
		if (x === 0) return "0";
		const a = Math.abs(x);
		if (a >= 10000) return Math.round(x / 1000) + " k";
		return String(Number(x.toPrecision(3)));
	}
	const percent = (x) => short(100 * x) + " %";

	// Ticks of the time axis.
	const steps = [1e3, 5e3, 15e3, 60e3, 300e3, 900e3, 3600e3, 3 * 3600e3, 6 * 3600e3, 12 * 3600e3, 864e5, 2 * 864e5, 7 * 864e5, 14 * 864e5, 28 * 864e5, 91 * 864e5, 364 * 864e5];
	function ticks(width) {
		const room = Math.max(2, Math.floor(width / 90));
		const step = steps.find((s) => (view.to - view.from) / s <= room) || steps[steps.length - 1];
		const out = [];
		const zero = data.start % step;
		for (let t = Math.ceil((view.from + zero) / step) * step - zero; t <= view.to; t += step) {
			const full = clock(t, step < 60e3);
			out.push([t, step >= 864e5 ? full.slice(5, 10) : full.slice(11) === "00:00" ? full.slice(5, 10) : full.slice(11)]);
		}
		return out;
	}
	// A round number that is at least x.
	function roundUp(x) {
		if (x <= 0) return 1;
		const p = 10 ** Math.floor(Math.log10(x));
		return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((m) => m * p >= x * 0.9999) * p;
	}

	// When a fault was active, as one list of stretches.
	const shaded = [];
	for (const s of data.lanes.filter((l) => l.class === "fault").flatMap((l) => l.spans || []).sort((a, b) => a.from - b.from)) {
		const last = shaded[shaded.length - 1];
		if (last && s.from <= last.to) last.to = Math.max(last.to, s.to);
		else shaded.push({ from: s.from, to: s.to });
	}

	// A chart over time: its frame, axis, shades, cursor, zoom. draw adds what it
	// shows; tell says what is at a time and height.
	function timed(figure, { left, right, height, yTop, yText, draw, tell }) {
		let x, at;
		function redraw() {
			const width = figure.clientWidth || 600;
			const l = left(width), r = right || 8, h = typeof height === "function" ? height(width) : height;
			x = (t) => l + (t - view.from) / (view.to - view.from) * (width - l - r);
			at = (px) => view.from + (px - l) / (width - l - r) * (view.to - view.from);
			const root = svg("svg", { viewBox: `0 0 ${width} ${h}`, height: h, "aria-hidden": "true" });
			const clipped = svg("clipPath", { id: figure.id + "-clip" }, svg("rect", { x: l, y: 0, width: width - l - r, height: h }));
			root.append(svg("defs", {}, clipped));
			const bottom = h - 18;
			const inner = svg("g", { "clip-path": `url(#${figure.id}-clip)` });
			for (const s of shaded) {
				if (s.to >= view.from && s.from <= view.to) inner.append(svg("rect", { class: "shade", x: x(s.from), y: 0, width: Math.max(1, x(s.to) - x(s.from)), height: bottom }));
			}
			for (const [t, text] of ticks(width - l - r)) {
				root.append(svg("line", { class: "rule", x1: x(t), x2: x(t), y1: 0, y2: bottom + 3 }));
				const room = 20;
				root.append(svg("text", { x: Math.min(Math.max(x(t), l + (l ? 0 : room)), width - room), y: h - 4, "text-anchor": "middle" }, text));
			}
			if (yTop) {
				const top = yTop();
				const y = (v) => bottom - v / top * (bottom - 8);
				for (const v of [0, top / 2, top]) {
					root.append(svg("line", { class: "rule", x1: l, x2: width - r, y1: y(v), y2: y(v) }));
					root.append(svg("text", { x: l - 4, y: y(v) + 4, "text-anchor": "end" }, yText(v)));
				}
				draw(inner, x, y, { width, bottom });
			} else draw(inner, x, null, { width, bottom, root, l });
			root.append(inner);
			const cursor = svg("line", { class: "cursor", y1: 0, y2: bottom, visibility: "hidden" });
			const pick = svg("rect", { class: "pick", y: 0, height: bottom, visibility: "hidden" });
			root.append(pick, cursor);
			figure.querySelector("svg")?.remove();
			figure.append(root);
			figure.parts = { cursor, pick };
		}
		let began = null;
		const place = (e) => e.clientX - figure.getBoundingClientRect().left;
		figure.addEventListener("pointerdown", (e) => {
			if (e.button === 0 && e.target.closest("svg")) { began = place(e); figure.setPointerCapture(e.pointerId); }
		});
		figure.addEventListener("pointermove", (e) => {
			const px = place(e), t = at(px);
			if (t < view.from || t > view.to) { hide(); return; }
			for (const [k, v] of [["x1", px], ["x2", px], ["visibility", "visible"]]) figure.parts.cursor.setAttribute(k, v);
			if (began !== null) {
				const p = figure.parts.pick;
				p.setAttribute("x", Math.min(began, px));
				p.setAttribute("width", Math.abs(px - began));
				p.setAttribute("visibility", "visible");
			}
			tip(e, [clock(t, true), ...tell(t, e.clientY - figure.querySelector("svg").getBoundingClientRect().top, (ms) => x(ms), px)]);
		});
		figure.addEventListener("pointerup", (e) => {
			if (began === null) return;
			const a = at(Math.min(began, place(e))), b = at(Math.max(began, place(e)));
			const far = Math.abs(place(e) - began) > 6;
			began = null;
			figure.parts.pick.setAttribute("visibility", "hidden");
			if (far) zoom(a, b);
		});
		figure.addEventListener("pointercancel", () => { began = null; figure.parts.pick.setAttribute("visibility", "hidden"); });
		figure.addEventListener("dblclick", () => zoom(0, data.end));
		const hide = () => { byId("tip").hidden = true; figure.parts.cursor.setAttribute("visibility", "hidden"); };
		figure.addEventListener("pointerleave", hide);
		figure.addEventListener("keydown", (e) => {
			const action = { "+": "in", "=": "in", "-": "out", ArrowLeft: "back", ArrowRight: "on", 0: "whole" }[e.key];
			if (action) { byId(action).click(); e.preventDefault(); }
		});
		charts.push(redraw);
	}

	function tip(e, lines) {
		const box = byId("tip");
		box.replaceChildren(...lines.map((l) => html("p", {}, l)));
		box.hidden = false;
		const r = box.getBoundingClientRect();
		box.style.left = Math.max(4, Math.min(e.clientX + 14, innerWidth - r.width - 4)) + "px";
		box.style.top = (e.clientY + 18 + r.height > innerHeight ? e.clientY - r.height - 10 : e.clientY + 18) + "px";
	}

	// The sample nearest to a time.
	function nearest(t) {
		let best = 0;
		for (let i = 0; i < data.at.length; i++) if (Math.abs(data.at[i] - t) < Math.abs(data.at[best] - t)) best = i;
		return best;
	}

	// Signs of the timeline: shape and colour together.
	const shapes = {
		weights_set: ["good", "M0,-5 L5,4 L-5,4 Z"],
		weights_failed: ["bad", "M-5,-3 L-3,-5 L0,-2 L3,-5 L5,-3 L2,0 L5,3 L3,5 L0,2 L-3,5 L-5,3 L-2,0 Z"],
		scoring_complete: ["", "M0,-4 A4,4 0 1,0 0.01,-4 Z"],
		started: ["good", "M0,-5 L5,0 L0,5 L-5,0 Z"],
		crashed: ["bad", "M-4,-4 H4 V4 H-4 Z"],
		down: ["bad", "M-5,-4 L5,-4 L0,5 Z"],
		store_unopened: ["quiet", "M-5,-2 H5 V2 H-5 Z"],
		violation: ["bad", "M0,-7 L2,-2 L7,-2 L3,1 L5,7 L0,3 L-5,7 L-3,1 L-7,-2 L-2,-2 Z"],
	};
	const words = { weights_set: "weights set", weights_failed: "weights failed", scoring_complete: "scored", started: "started again", crashed: "crashed", down: "went down by itself", store_unopened: "store did not open", violation: "violation" };
	const sign = (what, x, y) => {
		const [cls, d] = shapes[what] || ["quiet", shapes.scoring_complete[1]];
		return svg("path", { class: "sign " + cls, d, transform: `translate(${x},${y})` });
	};

	// What is bad lies above what is good.
	const inOrder = (marks) => [false, true].flatMap((bad) => marks.filter((m) => (shapes[m.what]?.[0] === "bad") === bad));

	function timeline() {
		const figure = byId("timeline");
		const narrow = () => figure.clientWidth < 640;
		const row = () => narrow() ? 34 : 24;
		const top = (i) => i * row() + (narrow() ? 14 : 2);
		timed(figure, {
			left: (w) => w < 640 ? 0 : 236, height: () => data.lanes.length * row() + 26,
			draw: (g, x, _, { width, root, l }) => {
				data.lanes.forEach((lane, i) => {
					const y = top(i), h = 18;
					root.append(svg("rect", { class: "lane", x: l, y, width: width - l - 8, height: h, rx: 3 }));
					const label = svg("text", { class: "name", x: 0, y: narrow() ? y - 3 : y + 13 }, cut(lane.name, 18));
					label.append(svg("tspan", { class: "", "font-weight": "400", "font-size": "11", dx: 6 }, cut(lane.note, narrow() ? 40 : Math.floor((l - 16 - 7.2 * Math.min(lane.name.length, 18)) / 6.2))));
					label.append(svg("title", {}, lane.name + ", " + lane.note));
					root.append(label);
					for (const s of lane.spans || []) {
						if (s.to < view.from || s.from > view.to) continue;
						g.append(svg("rect", { class: "span-" + lane.class, x: x(s.from), y: y + 2, width: Math.max(2.5, x(s.to) - x(s.from)), height: h - 4, rx: 2 }));
					}
					// Signs that would cover one another are drawn once.
					const last = {};
					for (const m of inOrder(lane.marks || [])) {
						if (m.at < view.from || m.at > view.to) continue;
						const px = x(m.at);
						if (last[m.what] !== undefined && px - last[m.what] < 5) continue;
						last[m.what] = px;
						g.append(sign(m.what, px, y + h / 2));
					}
				});
			},
			tell: (t, py, x, px) => {
				const i = Math.floor(py / row());
				const lane = data.lanes[i];
				if (!lane) return [];
				const out = [`${lane.name}: ${lane.note}`];
				for (const s of lane.spans || []) {
					if (x(s.from) - 3 <= px && px <= x(s.to) + 3) out.push(`${s.text} (${clock(s.from, true)}, ${lasting(s.to - s.from)})`);
				}
				const near = (lane.marks || []).filter((m) => Math.abs(x(m.at) - px) < 6);
				for (const m of near.slice(0, 6)) out.push(`${words[m.what] || m.what}${m.n > 1 ? " ×" + m.n : ""} at ${clock(m.at, true)}${m.text ? ": " + m.text : ""}`);
				return out.slice(0, 9);
			},
		});
		const used = new Set(data.lanes.flatMap((l) => (l.marks || []).map((m) => m.what)));
		for (const what of Object.keys(shapes)) {
			if (used.has(what)) byId("legend").append(html("li", {}, svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, sign(what, 0, 0)), words[what]));
		}
		for (const [cls, text] of [["fault", "fault active"], ["alarm", "alarm raised"]]) {
			if (data.lanes.some((l) => l.class === cls)) byId("legend").append(html("li", {}, svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, svg("rect", { class: "span-" + cls, x: -8, y: -5, width: 16, height: 10, rx: 2 })), text));
		}
	}
	const cut = (text, n) => text.length > n ? text.slice(0, Math.max(n - 1, 0)) + "…" : text;

	// Samples in view, with one more on each side.
	function inView() {
		let a = data.at.findIndex((t) => t >= view.from), b = data.at.length - 1;
		if (a < 0) a = b;
		while (b > a && data.at[b] > view.to) b--;
		return [Math.max(0, a - 1), Math.min(data.at.length - 1, b + 1)];
	}
	function path(x, y, values, backwards) {
		const [a, b] = inView();
		const points = [];
		for (let i = a; i <= b; i++) points.push(`${x(data.at[i]).toFixed(1)},${y(values[i]).toFixed(1)}`);
		return (backwards ? points.reverse() : points).join(" L");
	}

	function small(parent, id, title, note, label) {
		const figure = html("figure", { id, class: "chart", tabindex: "0", role: "img", "aria-label": label });
		figure.append(html("figcaption", {}, html("strong", {}, title), " ", note));
		byId(parent).append(figure);
		return figure;
	}

	function weights() {
		const top = roundUp(Math.max(0, ...data.kinds.flatMap((k) => k.high)));
		data.kinds.forEach((k, n) => {
			const last = k.mid.length - 1;
			const note = `${k.count} ${k.count === 1 ? "miner" : "miners"}, ${percent(k.share)} of the reward`;
			const figure = small("weights", "weight-" + n, k.kind, note, `Weight of ${k.kind}: median ${percent(k.mid[last])} at the end, ${percent(Math.max(...k.mid))} at most`);
			timed(figure, {
				left: () => 42, height: 120, yTop: () => top, yText: percent,
				draw: (g, x, y) => {
					g.append(svg("path", { class: "band", d: "M" + path(x, y, k.high) + " L" + path(x, y, k.low, true) + " Z" }));
					g.append(svg("path", { class: "median", d: "M" + path(x, y, k.mid) }));
				},
				tell: (t) => {
					const i = nearest(t);
					return [`${k.kind}: median ${percent(k.mid[i])}`, `10th to 90th percentile: ${percent(k.low[i])} to ${percent(k.high[i])}`];
				},
			});
		});
	}

	function tiers() {
		const select = byId("tier-kind");
		select.append(html("option", { value: "-1" }, "all kinds"), ...data.kinds.map((k, i) => html("option", { value: i }, k.kind)));
		const most = Math.max(...data.kinds.flatMap((k) => k.tiers.map((t) => t.length)));
		const chosen = () => select.value === "-1" ? data.kinds : [data.kinds[Number(select.value)]];
		const count = (i, tier) => chosen().reduce((sum, k) => sum + (k.tiers[i][tier] || 0), 0);
		const name = (tier) => tier === 0 ? "none" : "tier " + tier;
		const reached = [];
		for (let tier = 0; tier < most; tier++) {
			if (data.kinds.some((k) => k.tiers.some((t) => t[tier] > 0))) reached.push(tier);
		}
		timed(byId("tiers"), {
			left: () => 42, height: 190,
			yTop: () => Math.max(1, chosen().reduce((sum, k) => sum + k.count, 0)), yText: (v) => short(v),
			draw: (g, x, y) => {
				let below = data.at.map(() => 0);
				for (const tier of [...reached].reverse()) { // the highest lies lowest
					const above = below.map((v, i) => v + count(i, tier));
					g.append(svg("path", { fill: `var(--t${Math.min(tier, 6)})`, d: "M" + path(x, y, above) + " L" + path(x, y, below, true) + " Z" }));
					below = above;
				}
			},
			tell: (t) => {
				const i = nearest(t);
				return reached.filter((tier) => count(i, tier) > 0).map((tier) => `${name(tier)}: ${count(i, tier)}`);
			},
		});
		select.addEventListener("change", redraw);
		for (const tier of reached) {
			byId("tier-legend").append(html("li", {}, svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" }, svg("rect", { fill: `var(--t${Math.min(tier, 6)})`, x: -7, y: -7, width: 14, height: 14, rx: 2 })), name(tier) + (tier === most - 1 && tier > 0 ? " (lowest in the chart)" : "")));
		}
	}

	function counters() {
		data.counts.forEach((c, n) => {
			const top = roundUp(Math.max(1, ...c.v));
			timed(small("counters", "counter-" + n, c.name, c.note, `${c.name}, ${c.note}: at most ${Math.max(0, ...c.v)}`), {
				left: () => 42, height: 110, yTop: () => top, yText: short,
				draw: (g, x, y, { bottom }) => {
					const [a, b] = inView();
					g.append(svg("path", { class: "band", d: `M${x(data.at[a])},${bottom} L${path(x, y, c.v)} L${x(data.at[b])},${bottom} Z` }), svg("path", { class: "median", d: "M" + path(x, y, c.v) }));
				},
				tell: (t) => [`${c.name}: ${c.v[nearest(t)]}`],
			});
		});
	}

	function amount(v, unit) {
		if (unit !== "s") return short(v) + (unit ? " " + unit : "");
		if (v < 1e-3) return short(v * 1e6) + " µs";
		if (v < 1) return short(v * 1e3) + " ms";
		if (v < 120) return short(v) + " s";
		return lasting(v * 1000);
	}
	function histograms() {
		for (const d of data.dists) {
			const n = d.bins.length, top = Math.max(...d.bins.map((b) => b[2]));
			const figure = html("figure", { class: "chart histogram", role: "img", "aria-label": `Histogram of ${d.metric}: ${d.count} values from ${amount(d.bins[0][0], d.unit)} to ${amount(d.bins[n - 1][1], d.unit)}` });
			figure.append(html("figcaption", {}, html("strong", {}, d.metric), ` ${d.count} values${d.unit && d.unit !== "s" ? ", in " + d.unit : ""}`));
			byId("histograms").append(figure);
			charts.push(() => {
				const width = figure.clientWidth || 400, h = 150, bottom = h - 18, left = 42;
				const root = svg("svg", { viewBox: `0 0 ${width} ${h}`, height: h, "aria-hidden": "true" });
				const w = (width - left - 8) / n;
				for (const v of [0, top / 2, top]) {
					const y = bottom - v / top * (bottom - 8);
					root.append(svg("line", { class: "rule", x1: left, x2: width - 8, y1: y, y2: y }), svg("text", { x: left - 4, y: y + 4, "text-anchor": "end" }, short(v)));
				}
				d.bins.forEach(([, , count], i) => {
					const high = count / top * (bottom - 8);
					if (count > 0) root.append(svg("rect", { class: "fillarea", x: left + i * w + .5, y: bottom - Math.max(high, 1.5), width: Math.max(w - 1, 1), height: Math.max(high, 1.5) }));
				});
				const every = Math.max(1, Math.ceil(n / Math.max(2, Math.floor((width - left) / 80))));
				for (let i = 0; i < n; i += every) root.append(svg("text", { x: left + i * w, y: h - 4, "text-anchor": i ? "middle" : "start" }, d.unit === "s" ? amount(d.bins[i][0], "s") : short(d.bins[i][0])));
				figure.querySelector("svg")?.remove();
				figure.append(root);
				figure.onpointermove = (e) => {
					const i = Math.floor((e.clientX - figure.getBoundingClientRect().left - left) / w);
					if (i < 0 || i >= n) { byId("tip").hidden = true; return; }
					const [from, to, count] = d.bins[i];
					tip(e, [`${amount(from, d.unit)} to ${amount(to, d.unit)}: ${count}`, `${percent(count / d.count)} of all`]);
				};
				figure.onpointerleave = () => { byId("tip").hidden = true; };
			});
		}
	}

	function zoom(from, to) {
		let length = Math.min(Math.max(to - from, least), data.end);
		from = Math.max(0, Math.min(from, data.end - length));
		view.from = from;
		view.to = from + length;
		redraw();
	}
	function redraw() {
		byId("range").textContent = `${clock(view.from)} to ${clock(view.to)} (${lasting(view.to - view.from)})`;
		for (const draw of charts) draw();
	}
	const length = () => view.to - view.from;
	byId("in").onclick = () => zoom(view.from + length() / 4, view.to - length() / 4);
	byId("out").onclick = () => zoom(view.from - length() / 2, view.to + length() / 2);
	byId("back").onclick = () => zoom(view.from - length() / 3, view.to - length() / 3);
	byId("on").onclick = () => zoom(view.from + length() / 3, view.to + length() / 3);
	byId("whole").onclick = () => zoom(0, data.end);

	timeline();
	weights();
	tiers();
	counters();
	histograms();
	redraw();
	let wide = innerWidth;
	addEventListener("resize", () => {
		if (innerWidth !== wide) { wide = innerWidth; redraw(); }
	});
	document.documentElement.dataset.drawn = String(charts.length);
})();

const facts = JSON.parse(document.getElementById("facts").textContent), files = new WeakMap();
const MOST_BARS = 12, MOST_ROWS = 500, MOST_LINES = 8, MOST_IMAGES = 256;

function element(name, text, own = {}) {
  const one = document.createElement(name);
  if (text !== undefined) one.textContent = text;
  return Object.assign(one, own);
}
const escaped = text => String(text).replace(/[&<>"]/g, mark => `&#${mark.charCodeAt(0)};`);

// what is sent

function numbers(text, area) {
  let lines = text.trim().split(/\r?\n/).map(line => line.trim()).filter(Boolean);
  const words = line => line.includes(",") || line.includes(";") ? line.replace(/[,;]\s*$/, "").split(/[,;]/).map(word => word.trim()) : line.split(/\s+/);
  const read = word => /^(|null|nan|na)$/i.test(word) ? null : Number(word);
  if (lines.length > 1 && words(lines[0]).every(word => Number.isNaN(read(word)))) lines = lines.slice(1);
  const steps = lines.map(line => words(line).map(word => {
    const value = read(word);
    if (Number.isNaN(value)) throw new Error(`${area.dataset.cell}: must be numbers (got "${word.slice(0, 40)}"). Leave a gap empty.`);
    return value;
  }));
  if (!steps.length) return null;
  if (Number(area.dataset.channels) === 1) return steps.flat();
  return area.dataset.first === "true" ? steps[0].map((_, i) => steps.map(step => step[i] ?? null)) : steps;
}

const READ = {
  number: one => one.value === "" ? null : Number(one.value),
  boolean: one => one.value === "" ? null : one.value === "true",
  choices: one => JSON.stringify([...one.querySelectorAll(":checked")].map(box => box.value)),
  series: one => numbers(one.value, one),
  file: one => files.get(one).base64,
  choice: one => (one.selectedOptions?.[0]?.matches("[data-other]") ? one.nextElementSibling.value : one.value) || null,
};
const SETTINGS = {
  json: one => one.value === "" ? undefined : JSON.parse(one.value),
  number: one => one.value === "" ? undefined : Number(one.value),
  text: one => one.value || undefined,
  lines: one => {
    const lines = one.value.split("\n").map(line => line.trim()).filter(Boolean);
    return lines.length ? lines.map(line => /^-?\d+$/.test(line) ? Number(line) : line) : undefined;
  },
};

function requestOf(section, own) {
  const settings = {}, row = {}, whole = section.querySelector("[data-row]"), table = section.querySelector("[data-table]");
  for (const one of section.querySelectorAll("[data-setting]")) {
    const value = SETTINGS[one.dataset.setting](one);
    if (value !== undefined) settings[one.name] = value;
  }
  if (own.rows === "none") return { settings, rows: [] };
  if (table) return { settings, csv: table.value, rows: csv(table.value) };
  if (whole) {
    try { Object.assign(row, JSON.parse(whole.value)); } catch (error) { throw new Error(`The row is no JSON: ${error.message}.`); }
  }
  for (const one of section.querySelectorAll("[data-cell]")) row[one.dataset.cell] = (READ[one.dataset.sort] || (box => box.value || null))(one);
  return { settings, rows: [row] };
}

function csv(text) {
  const first = text.split(/\r?\n/, 1)[0], mark = [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
  const lines = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const line = lines[lines.length - 1], sign = text[i];
    if (quoted && sign === '"' && text[i + 1] === '"') { line[line.length - 1] += '"'; i++; }
    else if (sign === '"') quoted = !quoted;
    else if (!quoted && sign === mark) line.push("");
    else if (!quoted && sign === "\n") lines.push([""]);
    else if (sign !== "\r") line[line.length - 1] += sign;
  }
  const [names, ...rows] = lines.filter(line => line.length > 1 || line[0].trim());
  return names ? rows.map(row => Object.fromEntries(names.map((name, i) => [name.trim(), row[i] ?? ""]))) : [];
}

function message(name, own, sent) {
  const query = new URLSearchParams(), type = sent.csv === undefined ? "application/json" : "text/csv";
  if (sent.csv !== undefined) for (const [key, value] of Object.entries(sent.settings)) for (const one of [value].flat()) query.append(key, one);
  const place = name + (query.size ? `?${query}` : "");
  return { place, type, body: sent.csv ?? JSON.stringify(own.rows === "none" ? sent.settings : { rows: sent.rows, ...sent.settings }) };
}

function curl(section, own, sent, parts) {
  const quote = text => `'${String(text).replaceAll("'", "'\\''")}'`;
  const lines = [`curl ${own.stream ? "-N " : ""}${quote(new URL(parts.place, location.href))}`];
  if (facts.token) lines.push('-H "Authorization: Bearer $TOKEN"');
  const boxes = [...section.querySelectorAll("[data-sort=file]")];
  if (boxes.length) {
    for (const box of boxes) lines.push(`-F ${quote(`${box.dataset.cell}=@${files.get(box).name}`)}`);
    for (const [key, value] of Object.entries({ ...sent.rows[0], ...sent.settings }))
      if (value !== null && !boxes.some(box => box.dataset.cell === key)) lines.push(`--form-string ${quote(`${key}=${typeof value === "object" ? JSON.stringify(value) : value}`)}`);
  } else lines.push(`-H 'Content-Type: ${parts.type}'`, sent.csv === undefined ? `-d ${quote(parts.body)}` : "--data-binary @rows.csv");
  return (sent.csv === undefined ? "" : "# rows.csv holds the rows of the form\n") + lines.join(" \\\n  ");
}

// answers

function words(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(words).join(", ") || "none";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value).replace("T00:00:00", "").replace(/^(\d{4}-\d\d-\d\d)T/, "$1 ");
  if (value && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e15)) return value.toPrecision(4);
  const options = { maximumSignificantDigits: 6, useGrouping: Math.abs(value) >= 1e4 };
  return Number.isInteger(value) ? value.toLocaleString("en-US", { useGrouping: options.useGrouping }) : value.toLocaleString("en-US", options);
}

const MEDIA = { iVBORw0KGgo: "image/png", "/9j/": "image/jpeg", R0lGOD: "image/gif", UklGR: "audio/wav", T2dnUw: "audio/ogg", ZkxhQ: "audio/flac", SUQz: "audio/mpeg" };
function mediaOf(value) {
  const start = typeof value === "string" && value.length > 40 && Object.keys(MEDIA).find(sign => value.startsWith(sign));
  return start === "UklGR" && atob(value.slice(0, 16)).endsWith("WEBP") ? "image/webp" : start ? MEDIA[start] : "";
}
function media(value, caption) {
  const type = mediaOf(value), figure = element("figure"), source = `data:${type};base64,${value}`;
  const one = type.startsWith("audio") ? element("audio", undefined, { controls: true, src: source }) : element("img", undefined, { src: source, alt: caption });
  one.addEventListener("load", () => one.classList.toggle("smooth", one.naturalWidth > 128));
  figure.append(one, element("figcaption", caption));
  return figure;
}
const isNumbers = value => value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length && Object.values(value).every(one => one === null || typeof one === "number");
const isSeries = (own, name, value) => Array.isArray(value) && (name in own.series || Array.isArray(value[0]));

function bars(values, label) {
  const all = Object.values(values), low = Math.min(...all), total = all.reduce((sum, one) => sum + one, 0);
  const isShare = low >= 0 && Math.abs(total - 1) < 1e-3, scale = low >= 0 && Math.max(...all) <= 1 ? 1 : Math.max(...all.map(Math.abs)) || 1;
  const entries = Object.entries(values).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])), group = element("div", undefined, { role: "group", ariaLabel: label });
  for (const [name, value] of entries.slice(0, MOST_BARS)) {
    const line = element("div", undefined, { className: "bar" }), length = 100 * Math.abs(value) / scale, half = low < 0;
    const start = half ? (value < 0 ? 50 - length / 2 : 50) : 0;
    line.innerHTML = `<span></span><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="${value < 0 ? "less" : ""}" x="${start}" width="${half ? length / 2 : length}" height="10"/></svg><span></span>`;
    line.firstChild.textContent = name;
    line.lastChild.textContent = isShare ? `${(100 * value).toFixed(1)} %` : words(Number(value.toPrecision(3)));
    group.append(line);
  }
  if (entries.length > MOST_BARS) group.append(element("p", `and ${entries.length - MOST_BARS} more`, { className: "quiet" }));
  return group;
}

function flat(row, prefix = "") {
  return Object.entries(row).flatMap(([name, value]) => value && typeof value === "object" && !Array.isArray(value) ? flat(value, `${prefix}${name}.`) : [[prefix + name, value]]);
}
function list(entries) {
  const all = element("dl");
  for (const [name, value] of entries) {
    const pair = element("div");
    pair.append(element("dt", name.replaceAll("_", " ")), element("dd", words(value)));
    all.append(pair);
  }
  return all;
}

function one(own, row, sent) {
  const parts = [], lines = own.chart?.lines || [], ends = new Set(lines.flatMap(line => [line.low, line.high]).filter(Boolean));
  const isPlain = ([name, value]) => !mediaOf(value) && !isSeries(own, name, value) && (value === null || typeof value !== "object" || Array.isArray(value));
  const plain = Object.entries(row).filter(entry => isPlain(entry) && !ends.has(entry[0]));
  const rest = Object.entries(row).filter(entry => !isPlain(entry));
  const isHeaded = plain.length === 1 || lines.some(line => line.low in row) || rest.some(([, value]) => isNumbers(value))
    || !plain.every(([name]) => own.columns.includes(name)) && !plain.every(([, value]) => typeof value === "number");
  if (plain.length && isHeaded) {
    const [[name, value], ...others] = plain, line = lines.find(one => one.value === name && row[one.low] !== undefined && row[one.low] !== null);
    parts.push(element("p", name, { className: "name" }), element("p", words(value), { className: "large" }));
    if (line) parts.push(element("p", `between ${words(row[line.low])} and ${words(row[line.high])}`, { className: "quiet" }));
    if (others.length) parts.push(list(others));
  } else if (plain.length) parts.push(list(plain));
  for (const [name, value] of rest) {
    parts.push(element("p", name.replaceAll("_", " "), { className: "name" }));
    if (mediaOf(value)) {
      const pair = element("div", undefined, { className: "images" });
      if (mediaOf(sent?.[name])) pair.append(media(sent[name], "before"));
      pair.append(media(value, mediaOf(sent?.[name]) ? "after" : name));
      parts.push(pair);
    } else if (isNumbers(value)) parts.push(bars(value, name));
    else if (isSeries(own, name, value)) parts.push(...channels(own, name, value, sent?.[name]));
    else parts.push(list(flat(value)));
  }
  return parts;
}

function channels(own, name, value, before) {
  const split = cell => !Array.isArray(cell) ? [] : !Array.isArray(cell[0]) ? [cell] : own.series[name] ? cell : cell[0].map((_, i) => cell.map(step => step[i]));
  const points = cell => cell ? cell.map((y, i) => ({ x: i + 1, y })) : [], olds = split(before);
  return split(value).slice(0, MOST_LINES).map((channel, i) =>
    chart(points(channel), points(olds[i]), olds.length ? `${name}, in grey what was sent` : name, false));
}

function table(rows) {
  const cells = rows.slice(0, MOST_ROWS).map(row => flat(row)), names = [...new Set(cells.flatMap(row => row.map(([name]) => name)))];
  const scroll = element("div", undefined, { className: "scroll", tabIndex: 0 }), whole = scroll.appendChild(element("table")), head = whole.createTHead().insertRow(), body = whole.createTBody();
  const isNumber = name => cells.some(row => typeof Object.fromEntries(row)[name] === "number") ? "number" : "";
  for (const name of names) head.append(element("th", name, { scope: "col", className: isNumber(name) }));
  for (const row of cells) {
    const line = body.insertRow(), values = Object.fromEntries(row);
    for (const name of names) line.append(element("td", values[name] === null ? "" : words(values[name]), { className: typeof values[name] === "number" ? "number" : "" }));
  }
  return rows.length > MOST_ROWS ? [scroll, element("p", `The first ${MOST_ROWS} of ${rows.length.toLocaleString("en-US")} rows.`, { className: "quiet" })] : [scroll];
}

function many(own, rows, sent) {
  if (!rows.length) return [element("p", "Nothing came back.")];
  if (Object.values(rows[0]).some(mediaOf)) {
    const gallery = element("div", undefined, { className: "images" });
    for (const row of rows.slice(0, MOST_IMAGES)) {
      const caption = Object.entries(row).filter(([, value]) => !mediaOf(value)).sort((a, b) => (typeof b[1] === "string") - (typeof a[1] === "string")).map(([name, value]) => typeof value === "string" ? value : `${name} ${value}`).join(", ");
      for (const value of Object.values(row).filter(mediaOf)) gallery.append(media(value, caption));
    }
    return [gallery];
  }
  const drawn = own.chart?.lines.length ? [groups(own.chart, rows, sent)] : [];
  return [...drawn, ...table(rows)];
}

// drawings

const placeOf = value => typeof value === "number" ? value : /^\s*-?[\d.]+\s*$/.test(value) ? Number(value) : Date.parse(value);
const cellOf = (row, name) => Object.fromEntries(flat(row))[name];

function groups(all, rows, sent) {
  const box = element("div"), place = element("div"), ids = all.group ? [...new Set(rows.map(row => String(row[all.group])))] : [""];
  const draw = id => {
    const mine = row => !all.group || String(row[all.group]) === id, answers = rows.filter(mine), history = sent.filter(mine);
    place.replaceChildren(...all.lines.slice(0, MOST_LINES).map(line => {
      const isTime = answers.every(row => Number.isFinite(placeOf(row[all.x]))) && history.every(row => Number.isFinite(placeOf(row[all.x])));
      const value = row => row[line.source] === "" || row[line.source] === null ? NaN : Number(row[line.source]);
      const before = line.source ? history.map((row, i) => ({ x: isTime ? placeOf(row[all.x]) : i + 1, y: value(row) })).sort((a, b) => a.x - b.x) : [];
      const after = answers.map((row, i) => ({ x: isTime ? placeOf(row[all.x]) : (line.source ? history.length : 0) + i + 1, y: cellOf(row, line.value), low: cellOf(row, line.low), high: cellOf(row, line.high) }));
      const last = before.filter(one => Number.isFinite(one.y)).at(-1);
      return chart(last && last.x <= after[0].x ? [{ x: last.x, y: last.y, low: last.y, high: last.y }, ...after] : after, before, line.source || line.value, isTime && typeof answers[0][all.x] === "string");
    }));
  };
  if (ids.length > 1) {
    const label = element("label", all.group), choice = element("select");
    choice.append(...ids.map(id => element("option", id)));
    choice.onchange = () => draw(choice.value);
    label.append(choice);
    box.append(label);
  }
  box.append(place);
  draw(ids[0]);
  return box;
}

function ticks(low, high, count) {
  const raw = (high - low) / count || 1, size = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map(one => one * size).find(one => one >= raw);
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => Number(((Math.ceil(low / step) + i) * step).toPrecision(12)));
}

function chart(after, before, title, isTime) {
  const figure = element("figure", undefined, { className: "chart" }), place = figure.appendChild(element("div"));
  figure.append(element("figcaption", title));
  let width = 0;
  new ResizeObserver(() => {
    if (figure.clientWidth && Math.abs(figure.clientWidth - width) > 1) place.innerHTML = drawing(after, before, title, isTime, width = figure.clientWidth);
  }).observe(figure);
  return figure;
}

function drawing(after, before, title, isTime, width) {
  const height = 240, both = [...before, ...after], finite = value => typeof value === "number" && Number.isFinite(value);
  const ys = both.flatMap(one => [one.y, one.low, one.high]).filter(finite), xs = both.map(one => one.x);
  if (!ys.length) return "";
  const ends = list => list.reduce(([low, high], one) => [Math.min(low, one), Math.max(high, one)], [Infinity, -Infinity]);
  let [low, high] = ends(ys), [first, last] = ends(xs);
  if (low === high) [low, high] = [low - 1, high + 1];
  const marks = ticks(low, high, 4), left = 14 + 7 * Math.max(...marks.map(mark => words(mark).length));
  const x = value => left + (width - left - 12) * (value - first) / (last - first || 1), y = value => height - 26 - (height - 40) * (value - low) / (high - low);
  const path = (points, part = "y") => {
    let pen = "M";
    return points.map(one => {
      if (!finite(one[part])) { pen = "M"; return ""; }
      const text = `${pen}${x(one.x).toFixed(1)},${y(one[part]).toFixed(1)}`;
      pen = "L";
      return text;
    }).join("");
  };
  const day = value => new Date(value).toISOString().slice(0, last - first < 3 * 864e5 ? 16 : 10).replace("T", " ");
  const count = Math.max(2, Math.floor(width / 170)), places = isTime ? Array.from({ length: count }, (_, i) => first + (last - first) * i / (count - 1)) : ticks(first, last, Math.max(count, 4));
  const anchor = value => x(value) < left + 30 ? "start" : x(value) > width - 50 ? "end" : "middle";
  const lines = marks.map(mark => `<path class="grid" d="M${left},${y(mark)}H${width - 12}"/><text x="${left - 6}" y="${y(mark) + 4}" text-anchor="end">${words(mark)}</text>`).join("");
  const names = places.map(value => `<text x="${x(value)}" y="${height - 6}" text-anchor="${anchor(value)}">${isTime ? day(value) : words(value)}</text>`).join("");
  const inside = after.filter(one => finite(one.low) && finite(one.high)), band = inside.length ? path(inside, "high") + path([...inside].reverse(), "low").replace("M", "L") + "Z" : "";
  return `<svg viewBox="0 0 ${width} ${height}" height="${height}" role="img" aria-label="${escaped(title)}: ${words(after[0]?.y)} to ${words(after.at(-1)?.y)}">${lines}${names}<path class="band" d="${band}"/><path class="before" d="${path(before)}"/><path class="after" d="${path(after)}"/></svg>`;
}

// asking

const base64Of = blob => new Promise(resolve => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.split(",", 2)[1]);
  reader.readAsDataURL(blob);
});

async function follow(reply, answer) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader(), notes = [];
  let text = "", rest = "";
  const place = element("pre", "", { className: "text", dir: "auto" });
  answer.replaceChildren(place);
  for (let part; !(part = await reader.read()).done;) {
    const events = (rest + part.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = JSON.parse(event.split("\n").filter(line => line.startsWith("data: ")).map(line => line.slice(6)).join("\n"));
      if (event.startsWith("event: error")) throw new Error(data.error);
      notes.push(...(data.notes || []));
      for (const row of Object.values(data).find(Array.isArray) || []) text += Object.keys(row).length === 1 ? Object.values(row)[0] : Object.values(row).map(words).join(" ") + "\n";
      place.textContent = text;
    }
  }
  return notes;
}

for (const section of document.querySelectorAll("section")) {
  const own = facts.operations[section.id], at = name => section.querySelector(name), answer = at(".answer");
  const tell = notes => at(".notes").replaceChildren(...notes.map(note => element("li", note)));
  const isSingle = rows => rows.length === 1 && (own.rows === "each" || !own.chart?.lines.length && Object.values(rows[0]).some(isNumbers));
  const show = (rows, sent) => answer.replaceChildren(...(isSingle(rows) ? one(own, rows[0], sent[0]) : many(own, rows, sent)));
  const preview = () => {
    try { const sent = requestOf(section, own), parts = message(section.id, own, sent); at(".curl pre").textContent = curl(section, own, sent, parts); } catch (error) { at(".curl pre").textContent = error.message; }
  };
  for (const box of section.querySelectorAll("[data-sort=file]")) {
    const view = box.parentElement.querySelector(".preview");
    const take = (base64, name, caption) => { files.set(box, { base64, name }); view.replaceChildren(mediaOf(base64) ? media(base64, caption) : element("p", caption, { className: "quiet" })); preview(); };
    const example = () => take(box.dataset.sample, box.dataset.file, "an example, until a file is chosen");
    box.onchange = async () => box.files[0] ? take(await base64Of(box.files[0]), box.files[0].name, box.files[0].name) : example();
    example();
  }
  for (const box of section.querySelectorAll("[data-into]")) box.onchange = async () => { if (box.files[0]) { document.getElementById(box.dataset.into).value = await box.files[0].text(); preview(); } };
  for (const box of section.querySelectorAll("select")) box.addEventListener("change", () => { const typed = box.nextElementSibling; if (typed?.matches(".other")) { typed.hidden = !box.selectedOptions[0].matches("[data-other]"); if (!typed.hidden) typed.focus(); } });
  section.addEventListener("input", preview);
  section.addEventListener("change", preview);
  at(".curl button").hidden = !navigator.clipboard;
  at(".curl button").onclick = () => navigator.clipboard.writeText(at(".curl pre").textContent);
  at("form").onsubmit = async event => {
    event.preventDefault();
    const status = at("[role=status]"), start = performance.now();
    at(".fault").textContent = "";
    tell([]);
    status.textContent = "Working";
    try {
      const sent = requestOf(section, own), parts = message(section.id, own, sent), token = document.getElementById("token").value;
      const headers = { "Content-Type": parts.type, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
      let reply;
      try { reply = await fetch(parts.place, { method: "POST", headers, body: parts.body }); } catch { throw new Error("The server cannot be reached. Is it still running?"); }
      if (!reply.ok) throw new Error((await reply.json()).error);
      if (own.stream) tell(await follow(reply, answer));
      else if (!reply.headers.get("Content-Type").startsWith("application/json")) answer.replaceChildren(media(await base64Of(await reply.blob()), "answer"));
      else {
        const value = await reply.json();
        show(value[own.items], sent.rows);
        tell(value.notes || []);
      }
      status.textContent = `${Math.round(performance.now() - start)} ms`;
    } catch (error) {
      answer.replaceChildren();
      status.textContent = "";
      at(".fault").textContent = error.message;
    }
  };
  if (own.example.answers.length) {
    if (own.stream) answer.replaceChildren(element("pre", own.example.answers.map(row => Object.values(row)[0]).join("\n"), { className: "text", dir: "auto" }));
    else show(own.example.answers, own.example.rows);
    tell(["This is the example's answer, before anything was sent."]);
  }
  preview();
}

const tabs = [...document.querySelectorAll("[role=tab]")];
function open(tab) {
  for (const one of tabs) {
    one.setAttribute("aria-selected", one === tab);
    one.tabIndex = one === tab ? 0 : -1;
    document.getElementById(one.getAttribute("aria-controls")).hidden = one !== tab;
  }
  tab.focus();
}
for (const [i, tab] of tabs.entries()) {
  tab.onclick = () => open(tab);
  tab.onkeydown = event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) open(tabs[(i + step + tabs.length) % tabs.length]);
  };
}

// Maps of rows: hover, zoom, colours by another column, one group alone. Reads what stands in the page, and no more.
for (const figure of document.querySelectorAll("figure.map")) {
  const one = selector => figure.querySelector(selector);
  const svg = one("svg"), points = one("g.points"), circles = [...points.children], names = one("g.names");
  const groupings = JSON.parse(figure.dataset.groupings), palettes = JSON.parse(figure.dataset.palettes);
  const sheet = one("img.sprite"), tip = one(".tip"), image = one(".tip i"), words = one(".tip span");
  const choice = one("select"), legend = one(".legend"), size = Number(figure.dataset.radius);
  const [left, top, width, height] = figure.dataset.box.split(" ").map(Number);
  const rows = figure.dataset.rows.split(" ");
  let scale = 1, x = 0, y = 0, grouping = 0, alone = -1, from = null;

  const code = i => parseInt(groupings[grouping].codes[i], 36);
  function draw() {
    points.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    if (names) {
      names.style.display = grouping === 0 && alone < 0 ? "" : "none";
      for (const text of names.children) {
        text.setAttribute("x", text.dataset.x * scale + x);
        text.setAttribute("y", text.dataset.y * scale + y);
      }
    }
    for (const circle of circles) circle.setAttribute("r", size * Math.sqrt(scale) / scale);
    for (const tick of svg.querySelectorAll("text.tick")) {
      const across = tick.dataset.axis === "x", place = Number(tick.dataset.at);
      const [low, high] = figure.dataset[across ? "across" : "up"].split(" ").map(Number);
      const share = across ? ((place - x) / scale - left) / width : 1 - ((place - y) / scale - top) / height;
      tick.textContent = Number((low + share * (high - low)).toPrecision(3)).toString().replace("-", "\u2212");
    }
  }
  function paint() {
    const colours = palettes[groupings[grouping].palette], values = groupings[grouping].values;
    circles.forEach((circle, i) => {
      circle.style.fill = colours[code(i)];
      circle.style.display = alone < 0 || code(i) === alone ? "" : "none";
    });
    legend.replaceChildren(...values.map((value, i) => {
      const button = document.createElement("button"), spot = document.createElement("i");
      spot.style.background = colours[i];
      button.append(spot, value);
      button.setAttribute("aria-pressed", alone === i);
      button.style.opacity = alone < 0 || alone === i ? 1 : 0.45;
      button.onclick = () => { alone = alone === i ? -1 : i; paint(); draw(); };
      return button;
    }));
  }
  function place(event) {
    const at = svg.getBoundingClientRect(), factor = svg.viewBox.baseVal.width / at.width;
    return [(event.clientX - at.left) * factor, (event.clientY - at.top) * factor];
  }
  function zoom(by, [a, b] = [left + width / 2, top + height / 2]) {
    const next = Math.min(60, Math.max(0.2, scale * by));
    x = a - (a - x) * next / scale; y = b - (b - y) * next / scale; scale = next;
    draw();
  }
  function show(event) {
    const circle = event.target.closest("g.points circle");
    if (!circle || from) { tip.hidden = true; return; }
    const i = circles.indexOf(circle), own = groupings[grouping], around = figure.getBoundingClientRect();
    words.textContent = `${own.name ? `${own.name}: ${own.values[code(i)]}, ` : ""}test row ${rows[i]}`;
    if (sheet) {
      const across = Number(sheet.dataset.across), side = [sheet.dataset.width, sheet.dataset.height].map(Number);
      const large = Math.max(1, Math.round(96 / Math.max(...side)));
      Object.assign(image.style, {
        width: `${side[0] * large}px`, height: `${side[1] * large}px`,
        backgroundImage: `url(${sheet.src})`,
        backgroundSize: `${sheet.naturalWidth * large}px ${sheet.naturalHeight * large}px`,
        backgroundPosition: `-${i % across * side[0] * large}px -${Math.floor(i / across) * side[1] * large}px`,
      });
    }
    tip.hidden = false;
    const beyond = event.clientX - around.left > around.width - 180;
    tip.style.left = `${event.clientX - around.left + (beyond ? -14 - tip.offsetWidth : 14)}px`;
    tip.style.top = `${event.clientY - around.top + 14}px`;
  }
  svg.addEventListener("wheel", event => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), place(event)); },
    { passive: false });
  svg.addEventListener("pointerdown", event => { from = [...place(event), x, y]; svg.setPointerCapture(event.pointerId); });
  svg.addEventListener("pointerup", () => { from = null; });
  svg.addEventListener("pointermove", event => {
    if (from) {
      const at = place(event);
      x = from[2] + at[0] - from[0]; y = from[3] + at[1] - from[1];
      draw();
    }
    show(event);
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });
  const whole = () => { scale = 1; x = y = 0; draw(); };
  svg.addEventListener("dblclick", whole);
  one("[data-zoom=in]").onclick = () => zoom(1.5);
  one("[data-zoom=out]").onclick = () => zoom(1 / 1.5);
  one("[data-zoom=whole]").onclick = whole;
  if (choice) choice.onchange = () => { grouping = Number(choice.value); alone = -1; paint(); draw(); };
  figure.classList.add("live");
  paint();
  draw();
}

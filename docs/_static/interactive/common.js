// What all pieces share: controls, the list of numbers, and plots in SVG.
//
// A piece is defined by hacrl.define(name, {controls, numbers, values, draw}):
//   controls  a list of {name, label, kind: range | list | select | toggle, value, ...}
//   numbers   a list of {names, label, form}, a line each; form: a number of decimals, "percent" or "text"
//   values    settings -> numbers by name, the same as NAME_values of notebooks/hacrl_demos
//   draw      (stage, settings, values) fills the stage
// window.hacrl.NAME.values(settings) gives the numbers of any settings.
window.hacrl = (function () {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const hacrl = { define, plot, element, panels, key };

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // Controls -----------------------------------------------------------------------------------------------------------

  let lastId = 0;

  function control(spec, changed) {
    const id = `hacrl-${++lastId}`;
    if (spec.kind === "toggle") return toggle(spec, changed);
    const label = element("label", { for: id }, spec.label);
    const input = spec.kind === "select" ? element("select", { id }) : element("input", { id, type: "range" });
    input.dataset.control = spec.name;
    const output = element("output", { for: id });
    if (spec.kind === "select") {
      for (const [value, text] of spec.options) input.append(element("option", { value }, text));
      input.value = String(spec.value);
    } else {
      const range = spec.kind === "list" ? [0, spec.list.length - 1, 1] : [spec.min, spec.max, spec.step];
      [input.min, input.max, input.step] = range;
      input.value = spec.kind === "list" ? spec.list.indexOf(spec.value) : spec.value;
    }
    function read() {
      if (spec.kind === "select") return typeof spec.options[0][0] === "number" ? Number(input.value) : input.value;
      return spec.kind === "list" ? spec.list[Number(input.value)] : Number(input.value);
    }
    function show() {
      if (spec.kind === "select") return;
      output.textContent = spec.decimals ? read().toFixed(spec.decimals) : String(read());
      input.setAttribute("aria-valuetext", output.textContent);
    }
    input.addEventListener("input", () => { show(); changed(); });
    show();
    const row = element("div", { class: "hacrl-control" }, label, input);
    if (spec.kind !== "select") row.append(output);
    return { row, read };
  }

  function toggle(spec, changed) {
    const button = element("button", { type: "button", "aria-label": spec.label });
    button.dataset.control = spec.name;
    const set = (on) => {
      button.setAttribute("aria-pressed", String(on));
      button.textContent = on ? "right" : "wrong";
    };
    set(Boolean(spec.value));
    button.addEventListener("click", () => { set(button.getAttribute("aria-pressed") !== "true"); changed(); });
    return { row: button, read: () => (button.getAttribute("aria-pressed") === "true" ? 1 : 0) };
  }

  // Numbers ------------------------------------------------------------------------------------------------------------

  function text(value, form) {
    if (typeof value === "string") return value;
    if (value === Infinity) return "never";
    if (Number.isNaN(value)) return "not measured";
    const shown = form === "percent" ? (100 * value).toFixed(1) + "\u00a0%" : value.toFixed(form);
    return shown.replace(/^-(?=0[.0]*(\u00a0%)?$)/, "").replace("-", "−");
  }

  function define(name, spec) {
    hacrl[name] = { values: spec.values };
    for (const holder of document.querySelectorAll(`.hacrl-piece[data-piece="${name}"]`)) mount(holder, spec);
  }

  function mount(holder, spec) {
    holder.replaceChildren();
    const controls = spec.controls.map((one) => [one.name, control(one, () => update(false))]);
    const settings = () => Object.fromEntries(controls.map(([name, made]) => [name, made.read()]));
    const stage = element("div", { class: "hacrl-stage" });
    const bodies = {};
    const table = element("table", { class: "hacrl-numbers", "aria-live": "polite" });
    const most = Math.max(...spec.numbers.map((one) => one.names.length));
    for (const one of spec.numbers) {
      const row = element("tr", {}, element("th", { scope: "row" }, one.label));
      for (const name of one.names) bodies[name] = row.appendChild(element("td", { "data-name": name }));
      row.lastChild.setAttribute("colspan", most - one.names.length + 1);
      table.append(row);
    }
    function update(sizeOnly) {
      const now = settings();
      const found = spec.values(now);
      stage.replaceChildren();
      spec.draw(stage, now, found);
      if (sizeOnly) return;
      for (const one of spec.numbers) {
        for (const name of one.names) {
          bodies[name].dataset.value = String(found[name]);
          bodies[name].textContent = text(found[name], one.form);
        }
      }
    }
    const toggles = spec.controls.some((one) => one.kind === "toggle") ? element("div", { class: "hacrl-toggles" }) : null;
    const form = element("div", { class: "hacrl-controls" });
    spec.controls.forEach((one, i) => {
      if (one.before) toggles.append(element("span", {}, one.before));
      (one.kind === "toggle" ? toggles : form).append(controls[i][1].row);
    });
    if (toggles) holder.append(toggles);
    const start = element("button", { type: "button", class: "hacrl-start" }, "back to the start");
    start.addEventListener("click", () => mount(holder, spec));
    form.append(start);
    holder.append(form, stage, element("div", { class: "hacrl-scroll" }, table));
    update(false);
    let width = holder.clientWidth;
    new ResizeObserver(() => {
      if (holder.clientWidth === width || !stage.isConnected) return;
      width = holder.clientWidth;
      update(true);
    }).observe(holder);
    holder.dataset.ready = "true";
  }

  // Plots --------------------------------------------------------------------------------------------------------------

  // A line that says what the colours mean: entries of [colour, words].
  function key(entries) {
    const spans = entries.map(([colour, words]) => element("span", { class: `hacrl-key ${colour}` }, words));
    return element("p", {}, ...spans.flatMap((span) => [span, " "]));
  }

  // Widths of plots side by side: as many columns as fit.
  function panels(stage, count) {
    const width = Math.max(260, stage.clientWidth);
    return width < 300 * count ? width : Math.floor(width / count) - 4;
  }

  // A plot with axes. options: width, height, label (what is seen, in words), title, x and y: {label, from, to, ticks, log}.
  function plot(stage, options) {
    const { width, height } = options;
    const edge = { left: 54, right: options.right || 14, top: options.title ? 26 : 10, bottom: 44 };
    const svg = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.label });
    stage.append(svg);
    const to = (axis, from, until) => {
      const change = axis.log ? Math.log2 : (value) => value;
      return (value) => from + ((change(value) - change(axis.from)) / (change(axis.to) - change(axis.from))) * (until - from);
    };
    const x = to(options.x, edge.left, width - edge.right);
    const y = to(options.y, height - edge.bottom, edge.top);
    const ends = { left: edge.left, right: width - edge.right, top: edge.top, bottom: height - edge.bottom };

    function node(tag, attributes, content) {
      const made = document.createElementNS(SVG, tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      if (content !== undefined) made.textContent = content;
      return made;
    }
    const add = (tag, attributes, content) => svg.appendChild(node(tag, attributes, content));
    const drawing = {
      x, y, ends, add,
      line: (points, look) => add("polyline", {
        points: points.map(([a, b]) => `${x(a).toFixed(2)},${y(b).toFixed(2)}`).join(" "), class: "line " + look,
      }),
      dot: (a, b, look, radius = 4) => add("circle", { cx: x(a), cy: y(b), r: radius, class: look }),
      box: (a, b, c, d, look) => add("rect", {
        x: Math.min(x(a), x(c)), y: Math.min(y(b), y(d)), width: Math.abs(x(c) - x(a)), height: Math.abs(y(d) - y(b)),
        class: look, "shape-rendering": "crispEdges",
      }),
      text: (a, b, words, anchor = "start") => add("text", { x: a, y: b, "text-anchor": anchor }, words),
      vertical: (a, look) => add("line", { x1: x(a), x2: x(a), y1: ends.top, y2: ends.bottom, class: "line " + look }),
    };
    for (const tick of options.x.ticks) {
      add("line", { x1: x(tick), x2: x(tick), y1: ends.top, y2: ends.bottom, class: "grid" });
      drawing.text(x(tick), ends.bottom + 16, options.x.names ? options.x.names[tick] : tick, "middle");
    }
    for (const tick of options.y.ticks) {
      add("line", { x1: ends.left, x2: ends.right, y1: y(tick), y2: y(tick), class: "grid" });
      drawing.text(ends.left - 6, y(tick) + 4, String(tick).replace("-", "−"), "end");
    }
    add("rect", { x: ends.left, y: ends.top, width: ends.right - ends.left, height: ends.bottom - ends.top, class: "frame" });
    drawing.text((ends.left + ends.right) / 2, height - 8, options.x.label, "middle");
    const side = drawing.text(0, 0, options.y.label, "middle");
    side.setAttribute("transform", `translate(13 ${(ends.top + ends.bottom) / 2}) rotate(-90)`);
    if (options.title) drawing.text((ends.left + ends.right) / 2, 16, options.title, "middle").classList.add("title");
    return drawing;
  }

  return hacrl;
})();

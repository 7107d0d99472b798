// Own and cross gradient of a coin, exactly (Propositions D.5, D.6, Theorem D.11): two tosses, wanted one head and one tail.
(function () {
  "use strict";
  const CELLS = 48;
  const SLACK = 1e-9; // a ratio that is 1 but for rounding counts as 1
  const HEADS = [2, 1, 1, 0]; // of HH, HT, TH, TT
  const RIGHT = [0, 1, 1, 0];

  const logProbs = (p) => HEADS.map((heads) => heads * Math.log(p) + (2 - heads) * Math.log(1 - p));

  function weight(s, settings) { // theory.gradients.CrossWeight
    if (settings.clip === "none") return Math.pow(s, settings.alpha + 1);
    const low = 1 - settings.delta - SLACK;
    if (settings.clip === "hard") return s >= low && s <= 1 + SLACK ? Math.pow(s, settings.alpha + 1) : 0;
    return s >= low ? Math.pow(Math.min(s, 1), settings.alpha + 1) : 0;
  }

  function gradients(p, q, settings) { // of the logit of heads; that of tails is the negative
    const logP = logProbs(p);
    const logQ = logProbs(q);
    const success = 2 * p * (1 - p);
    let own = 0;
    let cross = 0;
    let passes = 0;
    const ratio = logP.map((value, y) => Math.exp((value - logQ[y]) / 2));
    HEADS.forEach((heads, y) => {
      const each = ((RIGHT[y] - success) * (heads - 2 * p)) / 2;
      const w = weight(ratio[y], settings);
      own += Math.exp(logP[y]) * each;
      cross += Math.exp(logQ[y]) * w * each;
      if (w > 0) passes += Math.exp(logQ[y]);
    });
    return { success, own, cross, inner: 2 * own * cross, ratio, passes };
  }

  function verdict(inner) {
    if (Math.abs(inner) < 1e-12) return "one of them is 0";
    return inner > 0 ? "aligned" : "opposed";
  }

  function values(settings) {
    const { ratio, ...found } = gradients(settings.learner, settings.sampler, settings);
    return { ...found, verdict: verdict(found.inner), ratio_hh: ratio[0], ratio_ht: ratio[1], ratio_tt: ratio[3] };
  }

  function draw(stage, settings, found) {
    const width = hacrl.panels(stage, 2);
    const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1];
    const left = hacrl.plot(stage, {
      width, height: 320, title: "arrow to the right: more heads",
      x: { label: "the learner's P(heads)", from: 0, to: 1, ticks },
      y: { label: "success", from: 0, to: 0.56, ticks: [0, 0.1, 0.2, 0.3, 0.4, 0.5] },
      label: `The own gradient is ${found.own.toFixed(4)}, the cross gradient ${found.cross.toFixed(4)}: ${found.verdict}.`,
    });
    left.line(Array.from({ length: 51 }, (_, i) => [i / 50, (2 * i * (50 - i)) / 2500]), "grey");
    left.vertical(settings.learner, "ink dotted");
    arrow(left, settings.learner, found.own, 0.2, "blue", "own");
    arrow(left, settings.learner, found.cross, 0.07, "orange", "cross");
    left.dot(settings.learner, found.success, "fill-ink", 5);
    const shares = { 1: 0, 0: 0, "-1": 0 };
    const right = hacrl.plot(stage, {
      width, height: 320, title: "where the two gradients agree",
      x: { label: "the learner's P(heads)", from: 0, to: 1, ticks },
      y: { label: "the sampler's P(heads)", from: 0, to: 1, ticks },
      label: "Map of learner's and sampler's probability of heads: aligned, opposed or zero.",
    });
    for (let j = 0; j < CELLS; j++) {
      let begin = 0;
      const signs = Array.from({ length: CELLS }, (_, i) => sign((i + 0.5) / CELLS, (j + 0.5) / CELLS, settings));
      signs.forEach((one, i) => {
        shares[one] += 1 / CELLS ** 2;
        if (i + 1 < CELLS && signs[i + 1] === one) return;
        right.box(begin / CELLS, j / CELLS, (i + 1) / CELLS, (j + 1) / CELLS, { 1: "fill-aligned", 0: "fill-zero", "-1": "fill-opposed" }[one]);
        begin = i + 1;
      });
    }
    right.dot(settings.learner, settings.sampler, "fill-ink", 5);
    const share = (which) => `${(100 * shares[which]).toFixed(0)} % of all pairs`;
    stage.append(hacrl.key([
      ["aligned", `aligned: ${share(1)}`], ["opposed", `opposed: ${share(-1)}`], ["zero", `one of them is 0: ${share(0)}`],
    ]));
  }

  function sign(p, q, settings) {
    const { inner } = gradients(p, q, settings);
    return Math.abs(inner) < 1e-12 ? 0 : Math.sign(inner);
  }

  function arrow(plot, from, value, height, colour, name) {
    const y = plot.y(height);
    const long = 0.3 * Math.tanh(Math.abs(value) * 12) * Math.sign(value);
    const end = plot.x(Math.min(1, Math.max(0, from + long)));
    if (Math.abs(value) >= 1e-12) {
      const tip = Math.sign(value) * 8;
      plot.add("line", { x1: plot.x(from), x2: end, y1: y, y2: y, class: `line thick ${colour}` });
      plot.add("polygon", { points: `${end + tip},${y} ${end},${y - 8} ${end},${y + 8}`, class: `fill-${colour}` });
    }
    const side = from < 0.5 ? [plot.x(0.85), "end"] : [plot.x(0.15), "start"];
    plot.text(side[0], y - 12, `${name} gradient ${value.toFixed(4).replace("-", "−")}`, side[1]);
  }

  hacrl.define("two_coins", {
    controls: [
      { name: "learner", label: "learner: P(heads)", kind: "range", min: 0.02, max: 0.98, step: 0.01, value: 0.43, decimals: 2 },
      { name: "sampler", label: "sampler: P(heads)", kind: "range", min: 0.02, max: 0.98, step: 0.01, value: 0.75, decimals: 2 },
      { name: "alpha", label: "α", kind: "range", min: 0, max: 4, step: 0.5, value: 0, decimals: 1 },
      { name: "clip", label: "clip", kind: "select", value: "none",
        options: [["none", "no clip"], ["hard", "HACPO's clip, [1 − δ, 1]"], ["capped", "lower bound, cap at 1"]] },
      { name: "delta", label: "δ", kind: "range", min: 0.05, max: 0.8, step: 0.05, value: 0.2, decimals: 2 },
    ],
    numbers: [
      { names: ["success"], label: "the learner's success", form: 4 },
      { names: ["own"], label: "own gradient, logit of heads", form: 4 },
      { names: ["cross"], label: "cross gradient, logit of heads", form: 4 },
      { names: ["inner"], label: "inner product", form: 6 },
      { names: ["verdict"], label: "the two gradients are", form: "text" },
      { names: ["ratio_hh"], label: "s of two heads", form: 3 },
      { names: ["ratio_ht"], label: "s of one head and one tail (right)", form: 3 },
      { names: ["ratio_tt"], label: "s of two tails", form: 3 },
      { names: ["passes"], label: "the sampler's answers that keep their gradient", form: "percent" },
    ],
    values,
    draw,
  });
})();

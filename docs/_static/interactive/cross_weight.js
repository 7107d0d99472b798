// What the clip and the exponential weight leave of measured importance ratios (Eq. 12-14).
(function () {
  "use strict";
  const LONGEST = 1.6;
  const BIN = 0.05;
  const ratios = window.hacrlData.ratios;
  const sources = Object.keys(ratios);
  const share = (list, kept) => list.filter(kept).length / list.length;

  function bound(settings) { // importance.stepwise_lower_bound
    return Math.min(1, 1 - settings.delta + settings.updates * settings.delta_step);
  }

  function weight(s, low, alpha) { // theory.gradients.CrossWeight(alpha, low, high=1)
    return s >= low && s <= 1 ? Math.pow(s, alpha + 1) : 0;
  }

  function values(settings) {
    const low = bound(settings);
    const { right, wrong } = ratios[settings.source];
    const all = right.concat(wrong);
    const within = (s) => s >= low && s <= 1;
    return {
      bound: low,
      below: share(all, (s) => s < low),
      within: share(all, within),
      above: share(all, (s) => s > 1),
      within_right: share(right, within),
      within_wrong: share(wrong, within),
      mean_weight: all.reduce((sum, s) => sum + weight(s, low, settings.alpha), 0) / all.length,
      smallest_weight: Math.exp((1 + settings.alpha) * Math.log(low)),
    };
  }

  function draw(stage, settings, found) {
    const { low, alpha } = { low: found.bound, alpha: settings.alpha };
    const all = ratios[settings.source].right.concat(ratios[settings.source].wrong);
    const counts = Array.from({ length: Math.round(LONGEST / BIN) }, () => [0, 0]); // kept, clipped
    for (const s of all) {
      const bin = Math.min(counts.length - 1, Math.floor(s / BIN));
      counts[bin][s >= low && s <= 1 ? 0 : 1] += 1;
    }
    const most = Math.max(...counts.map(([a, b]) => a + b));
    const width = hacrl.panels(stage, 1);
    const x = { label: "importance ratio s of the other agent's answer", from: 0, to: LONGEST, ticks: [0, 0.4, 0.8, 1.2, 1.6] };
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((one) => most / one <= 4);
    const above = hacrl.plot(stage, {
      width, height: 210, x,
      y: { label: "answers", from: 0, to: most * 1.05, ticks: [0, 1, 2, 3, 4].map((i) => i * step).filter((tick) => tick <= most) },
      label: `Histogram of ${all.length} ratios; ${(100 * found.within).toFixed(1)} percent keep their gradient.`,
    });
    counts.forEach(([kept, clipped], bin) => {
      above.box(bin * BIN, 0, (bin + 1) * BIN, kept, "fill-blue");
      above.box(bin * BIN, kept, (bin + 1) * BIN, kept + clipped, "fill-grey");
    });
    stage.append(hacrl.key([["blue", "keeps its gradient"], ["grey", "clipped, no gradient"]]));
    const below = hacrl.plot(stage, {
      width, height: 190, x,
      y: { label: "times the advantage", from: 0, to: 1.1, ticks: [0, 0.5, 1] },
      label: "Term of the objective and weight of its gradient against the ratio.",
    });
    const term = (s) => Math.pow(Math.min(1, Math.max(low, s)), 1 + alpha);
    const inside = Array.from({ length: 41 }, (_, i) => low + ((1 - low) * i) / 40);
    below.line([[0, term(0)], ...inside.map((s) => [s, term(s)]), [LONGEST, 1]], "orange dashed");
    below.line([[0, 0], [low, 0], ...inside.map((s) => [s, term(s)]), [1, 0], [LONGEST, 0]], "blue");
    stage.append(hacrl.key([["orange", "term of the objective, c·sg(c)^α (dashed)"], ["blue", "weight of its gradient"]]));
  }

  hacrl.define("cross_weight", {
    controls: [
      { name: "source", label: "measured ratios", kind: "select", options: sources.map((one) => [one, one]), value: sources.at(-1) },
      { name: "alpha", label: "α", kind: "range", min: 0, max: 4, step: 0.5, value: 1, decimals: 1 },
      { name: "delta", label: "δ", kind: "range", min: 0.05, max: 0.8, step: 0.05, value: 0.2, decimals: 2 },
      { name: "delta_step", label: "δ_step", kind: "range", min: 0, max: 0.05, step: 0.005, value: 0.025, decimals: 3 },
      { name: "updates", label: "m, updates made", kind: "range", min: 0, max: 7, step: 1, value: 0 },
    ],
    numbers: [
      { names: ["bound"], label: "lower bound 1 − δ + m·δ_step", form: 3 },
      { names: ["below"], label: "answers below it", form: "percent" },
      { names: ["within"], label: "answers that keep their gradient", form: "percent" },
      { names: ["above"], label: "answers above 1", form: "percent" },
      { names: ["within_right"], label: "of the right answers keep it", form: "percent" },
      { names: ["within_wrong"], label: "of the wrong answers keep it", form: "percent" },
      { names: ["mean_weight"], label: "mean gradient weight of all answers", form: 3 },
      { names: ["smallest_weight"], label: "smallest weight of an answer that keeps it", form: 3 },
    ],
    values,
    draw,
  });
})();

// From a table of right and wrong answers to advantages and what each answer counts (Eq. 6-10).
(function () {
  "use strict";
  const WINDOW = 5; // K
  const START = [[1, 1, 0, 1], [0, 1, 0, 0]];
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;

  function values(settings) {
    const rewards = [0, 1].map((j) => [0, 1, 2, 3].map((i) => settings[`r${j}${i}`]));
    const earlier = [settings.earlier_a, settings.earlier_b];
    const k = settings.learner;
    const capability = rewards.map((row, j) => ((WINDOW - 1) * earlier[j] + mean(row)) / WINDOW); // CapabilityTracker
    const omega = (of, to) => Math.min(10, Math.max(0.1, Math.max(capability[of], 1e-8) / Math.max(capability[to], 1e-8)));
    const pooled = rewards.flat();
    const plain = mean(pooled);
    const sigma = Math.sqrt(pooled.reduce((sum, value) => sum + (value - plain) ** 2, 0) / (pooled.length - 1));
    const aware = mean(rewards.flatMap((row, j) => row.map((value) => omega(k, j) * value))); // Eq. 7
    const equal = pooled.every((value) => value === pooled[0]);
    const above = aware > 1;
    const baseline = equal ? pooled[0] : above ? mean(rewards[k]) : aware;
    const found = {
      capability_a: capability[0],
      capability_b: capability[1],
      omega: omega(k, 1 - k),
      coefficient: omega(1 - k, k),
      mean: aware,
      baseline,
      plain_mean: plain,
      sigma,
      guard: equal ? "all rewards are equal: every advantage is 0 (decision 5)"
        : above ? "the mean is above 1: the learner's own mean instead (decision 4)" : "none",
    };
    rewards.forEach((row, j) => row.forEach((reward, i) => {
      const advantage = (reward - baseline) / (sigma + 1e-6);
      found[`advantage_${"ab"[j]}${i + 1}`] = advantage;
      found[`counts_${"ab"[j]}${i + 1}`] = omega(j, k) * advantage;
    }));
    return found;
  }

  function draw(stage, settings, found) {
    const names = ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4"];
    const all = names.flatMap((name) => [found[`advantage_${name}`], found[`counts_${name}`]]);
    const most = Math.max(1, ...all.map(Math.abs)) * 1.1;
    const unit = most > 8 ? 5 : most > 3 ? 2 : 1;
    const ticks = [];
    for (let tick = -Math.floor(most / unit) * unit; tick <= most; tick += unit) ticks.push(tick);
    const plot = hacrl.plot(stage, {
      width: hacrl.panels(stage, 1), height: 260, title: `agent ${"AB"[settings.learner]} learns`,
      x: { label: "answer", from: -0.6, to: 7.6, ticks: [0, 1, 2, 3, 4, 5, 6, 7], names: names.map((name) => name.toUpperCase()) },
      y: { label: "standard deviations", from: -most, to: most, ticks },
      label: "Bars: the advantage of every answer, and the advantage times ω.",
    });
    names.forEach((name, i) => {
      plot.box(i - 0.36, 0, i - 0.02, found[`advantage_${name}`], "fill-blue");
      plot.box(i + 0.02, 0, i + 0.36, found[`counts_${name}`], "fill-orange");
    });
    plot.line([[-0.6, 0], [7.6, 0]], "ink");
    stage.append(hacrl.key([["blue", "advantage"], ["orange", "advantage × ω[sampler, learner]"]]));
  }

  const toggles = START.flatMap((row, j) => row.map((value, i) => (
    { name: `r${j}${i}`, label: `agent ${"AB"[j]}, answer ${i + 1}: right`, kind: "toggle", value,
      ...(i === 0 && { before: `agent ${"AB"[j]}` }) })));
  hacrl.define("reward_matrix", {
    controls: [
      ...toggles,
      { name: "earlier_a", label: "A: mean before", kind: "range", min: 0, max: 1, step: 0.05, value: 0.8, decimals: 2 },
      { name: "earlier_b", label: "B: mean before", kind: "range", min: 0, max: 1, step: 0.05, value: 0.4, decimals: 2 },
      { name: "learner", label: "who learns", kind: "select", options: [[0, "agent A"], [1, "agent B"]], value: 0 },
    ],
    numbers: [
      { names: ["capability_a"], label: "capability of A", form: 3 },
      { names: ["capability_b"], label: "capability of B", form: 3 },
      { names: ["omega"], label: "ω[learner, other], on rewards", form: 3 },
      { names: ["coefficient"], label: "ω[other, learner], on advantages", form: 3 },
      { names: ["plain_mean"], label: "mean of all rewards", form: 3 },
      { names: ["mean"], label: "μ̂, capability-aware mean", form: 3 },
      { names: ["baseline"], label: "baseline", form: 3 },
      { names: ["guard"], label: "the mean was replaced", form: "text" },
      { names: ["sigma"], label: "σ of all rewards", form: 3 },
      ...["a", "b"].flatMap((agent) => [["advantage", "advantages"], ["counts", "these count"]].map(([part, words]) => (
        { names: [1, 2, 3, 4].map((i) => `${part}_${agent}${i}`), label: `${agent.toUpperCase()}1 to ${agent.toUpperCase()}4, ${words}`, form: 3 }))),
    ],
    values,
    draw,
  });
})();

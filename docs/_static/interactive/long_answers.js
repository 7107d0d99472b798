// What passes the clip and what HACPO gains on the measured grid of results/long_answers/passing.csv.
(function () {
  "use strict";
  const { grid, lengths } = window.hacrlData;
  const SKILLS = { "known somewhat": 0.6, "not known": 0, misread: -1 };
  const BUDGET = -Math.log(1 - 0.2); // theory.passing.token_budget at δ = 0.2, m = 0
  const DECISIVE = 2;
  const STYLES = [...new Set(grid.map((place) => place.style))];
  const SHIFTS = { 0.2: -3, 0.35: 9 };

  function crossing(kappa, deficit) { // theory.passing.crossing_length
    const overdrawn = Math.max(0, deficit - BUDGET * DECISIVE);
    if (overdrawn === 0) return DECISIVE;
    return kappa < BUDGET ? DECISIVE + overdrawn / (BUDGET - kappa) : Infinity;
  }

  function atLength(place, column, length) {
    const known = place.tokens.map((tokens, i) => [tokens, place[column][i]]).filter(([, value]) => value !== null);
    const exact = known.find(([tokens]) => tokens === length);
    if (exact) return [exact[1], "measured"];
    const after = known.findIndex(([tokens]) => tokens > length);
    if (after < 0) return [NaN, `not measured above ${known.at(-1)[0]} tokens`];
    const [[left, low], [right, high]] = [known[after - 1], known[after]];
    const part = (Math.log(length) - Math.log(left)) / (Math.log(right) - Math.log(left));
    return [low + part * (high - low), `interpolated between ${left} and ${right} tokens`];
  }

  const placeOf = (style, skills) => grid.find((one) => one.style === style && one.other === SKILLS[skills]);

  function values(settings) {
    const place = placeOf(settings.style, settings.skills);
    const [share, share_how] = atLength(place, "measured", settings.length);
    const [gain, gain_how] = atLength(place, "hacpo_minus_gspo", settings.length);
    return {
      kappa: place.kappa,
      deficit: place.deficit,
      budget: BUDGET,
      crossing: crossing(place.kappa, place.deficit),
      share,
      share_how,
      law: atLength(place, "predicted", settings.length)[0],
      gain,
      gain_how,
    };
  }

  function draw(stage, settings, found) {
    const width = hacrl.panels(stage, 2);
    const x = { label: "tokens in an answer", from: 2.7, to: 256, ticks: [4, 16, 64, 256], log: true };
    const places = STYLES.map((style) => placeOf(style, settings.skills));
    const gains = places.flatMap((place) => place.hacpo_minus_gspo.filter((value) => value !== null));
    const left = hacrl.plot(stage, {
      width, height: 300, right: 40, x, title: "right answers that pass, %",
      y: { label: "%", from: -3, to: 110, ticks: [0, 25, 50, 75, 100] },
      label: `Share of right answers that pass against length; at ${settings.length} tokens ${(100 * found.share).toFixed(1)} percent.`,
    });
    const top = Math.max(...gains) * 1.12;
    const right = hacrl.plot(stage, {
      width, height: 300, right: 40, x, title: "success, HACPO − GSPO",
      y: { label: "difference", from: Math.min(-0.01, ...gains) * 1.15, to: top, ticks: top > 0.06 ? [0, 0.05, 0.1] : [-0.01, 0, 0.01, 0.02, 0.03, 0.04, 0.05].filter((t) => t < top) },
      label: `Gain of HACPO over GSPO against length, ${found.gain_how}.`,
    });
    const chosenLast = [...places].sort((a, b) => (a.style === settings.style) - (b.style === settings.style));
    for (const place of chosenLast) {
      const chosen = place.style === settings.style;
      const look = chosen ? "blue" : "grey";
      left.line(place.tokens.map((tokens, i) => [tokens, 100 * place.predicted[i]]), look);
      place.tokens.forEach((tokens, i) => left.dot(tokens, 100 * place.measured[i], "fill-" + look, chosen ? 4 : 2));
      const shift = SHIFTS[place.style] || 4;
      left.text(left.ends.right + 4, left.y(100 * place.predicted.at(-1)) + shift, place.style);
      const known = place.tokens.map((tokens, i) => [tokens, place.hacpo_minus_gspo[i]]).filter(([, value]) => value !== null);
      right.line(known, look);
      known.forEach(([tokens, value]) => right.dot(tokens, value, "fill-" + look, chosen ? 4 : 2));
      right.text(right.x(known.at(-1)[0]) + 6, right.y(known.at(-1)[1]) + shift, place.style);
    }
    right.line([[2.7, 0], [256, 0]], "ink");
    if (found.crossing < 256) {
      left.vertical(found.crossing, "ink dotted");
      left.text(left.x(found.crossing), left.ends.top + 12, "L*", "middle");
    }
    left.vertical(settings.length, "orange");
    right.vertical(settings.length, "orange");
    left.dot(settings.length, 100 * found.share, "fill-orange", 5);
    if (!Number.isNaN(found.gain)) right.dot(settings.length, found.gain, "fill-orange", 5);
    stage.append(hacrl.element("p", {}, "Left: lines are the law, dots are measured. Numbers at the ends: style distance; the chosen one is blue. Gains are means of 32 seeds."));
  }

  hacrl.define("long_answers", {
    controls: [
      { name: "length", label: "tokens in an answer", kind: "list", list: lengths, value: 16 },
      { name: "style", label: "style distance", kind: "select", options: STYLES.map((one) => [one, String(one)]), value: 0.35 },
      { name: "skills", label: "learner's weak skills", kind: "select", options: Object.keys(SKILLS).map((one) => [one, one]), value: "known somewhat" },
    ],
    numbers: [
      { names: ["kappa"], label: "κ, style distance, nats per token", form: 3 },
      { names: ["deficit"], label: "D, deficit of the two tokens that decide, nats", form: 2 },
      { names: ["budget"], label: "λ, budget at δ = 0.2, nats per token", form: 3 },
      { names: ["crossing"], label: "L*, tokens from which the mean right answer passes", form: 1 },
      { names: ["share"], label: "right answers that pass", form: "percent" },
      { names: ["share_how"], label: "that share is", form: "text" },
      { names: ["law"], label: "the law's share", form: "percent" },
      { names: ["gain"], label: "success, HACPO − GSPO", form: 4 },
      { names: ["gain_how"], label: "that gain is", form: "text" },
    ],
    values,
    draw,
  });
})();

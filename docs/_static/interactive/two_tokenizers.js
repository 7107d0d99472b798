// One answer cut by the tokenizers of two agents, and its importance ratio (Eq. 11).
(function () {
  "use strict";
  const { agents, answers } = window.hacrlData;
  const HIGH = 9; // pixels for a nat
  const sum = (list) => list.reduce((total, value) => total + value, 0);

  function values(settings) {
    const chosen = answers[settings.answer];
    const j = chosen.sampler;
    const counts = chosen.sides.map((side) => side.log_probs.length);
    const totals = chosen.sides.map((side) => sum(side.log_probs));
    const means = totals.map((total, side) => total / counts[side]);
    return {
      sampler: agents[j],
      verdict: chosen.right ? "right" : "wrong",
      tokens_0: counts[0],
      tokens_1: counts[1],
      total_0: totals[0],
      total_1: totals[1],
      mean_0: means[0],
      mean_1: means[1],
      ratio: Math.exp(means[1 - j] - means[j]),
      reverse: Math.exp(means[j] - means[1 - j]),
      one_count: Math.exp(totals[1 - j] / counts[j] - means[j]),
    };
  }

  function draw(stage, settings, found) {
    const chosen = answers[settings.answer];
    const question = hacrl.element("p", {}, hacrl.element("strong", {}, "Question: "), chosen.question);
    const answer = hacrl.element("p", {}, hacrl.element("strong", {}, "Answer: "), hacrl.element("code", {}, chosen.text.replaceAll("\n", " ↵ ")));
    stage.append(question, answer);
    chosen.sides.forEach((side, which) => {
      const role = chosen.sampler === which ? "wrote it" : "reads it";
      stage.append(hacrl.element("p", {}, `${agents[which]} ${role}: ${found[`tokens_${which}`]} tokens`));
      const row = hacrl.element("div", { class: `hacrl-tokens ${["blue", "orange"][which]}` });
      side.tokens.forEach((token, i) => {
        const surprise = -side.log_probs[i];
        const cell = hacrl.element("span", { class: "hacrl-token", title: `−log p = ${surprise.toFixed(6)} nats` });
        if (surprise >= 0.05) cell.append(surprise.toFixed(2));
        cell.append(hacrl.element("span", { class: "bar", style: `height: ${surprise * HIGH}px` }));
        cell.append(hacrl.element("code", {}, token.replaceAll("\n", "↵")));
        row.append(cell);
      });
      stage.append(row);
    });
    stage.append(hacrl.element("p", {}, "Bars: −log p of each token in nats, written where it is 0.05 or more."));
  }

  const label = (one, place) => `${place + 1}: ${one.right ? "right" : "wrong"}, by ${agents[one.sampler]}`;
  hacrl.define("two_tokenizers", {
    controls: [
      { name: "answer", label: "answer", kind: "select", options: answers.map((one, place) => [place, label(one, place)]), value: 2 },
    ],
    numbers: [
      { names: ["sampler"], label: "written by", form: "text" },
      { names: ["verdict"], label: "the answer is", form: "text" },
      { names: ["tokens_0"], label: `tokens, ${agents[0]}`, form: 0 },
      { names: ["tokens_1"], label: `tokens, ${agents[1]}`, form: 0 },
      { names: ["total_0"], label: `log-probability, ${agents[0]}, nats`, form: 3 },
      { names: ["total_1"], label: `log-probability, ${agents[1]}, nats`, form: 3 },
      { names: ["mean_0"], label: `per token, ${agents[0]}, nats`, form: 4 },
      { names: ["mean_1"], label: `per token, ${agents[1]}, nats`, form: 4 },
      { names: ["ratio"], label: "s: the reader learns from the writer", form: 4 },
      { names: ["reverse"], label: "s if the reader had written it and the writer read it", form: 4 },
      { names: ["one_count"], label: "s if both sides divided by the writer's number of tokens", form: 4 },
    ],
    values,
    draw,
  });
})();

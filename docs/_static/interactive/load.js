// Loads the interactive pieces of a page, if it has any. Works without network and from file://.
(function () {
  "use strict";
  const base = document.currentScript.src.replace(/[^/]*$/, "");

  function load() {
    const pieces = document.querySelectorAll(".hacrl-piece[data-piece]");
    if (pieces.length === 0) return;
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = base + "style.css";
    document.head.append(style);
    const names = [...new Set([...pieces].map((piece) => piece.dataset.piece))];
    for (const file of ["data", "common", ...names]) {
      const script = document.createElement("script");
      script.src = base + file + ".js";
      script.async = false; // one after the other
      document.head.append(script);
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", load);
  else load();
})();

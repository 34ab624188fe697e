"use strict";
(function () {
  var root = document.documentElement;
  root.classList.add("js");
  function all(selector, from) { return Array.prototype.slice.call((from || document).querySelectorAll(selector)); }

  // Tables: a click on a heading sorts by it; numbers by their value, empty cells last.
  all("table.sortable").forEach(function (table) {
    var heads = all("thead th", table), body = table.tBodies[0];
    heads.forEach(function (head, column) {
      if (head.hasAttribute("data-fixed")) { return; }
      head.classList.add("sorts");
      head.tabIndex = 0;
      function sort() {
        var first = head.classList.contains("num") ? "descending" : "ascending";
        var now = head.getAttribute("aria-sort");
        var order = now === first ? (first === "ascending" ? "descending" : "ascending") : first;
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", order);
        var sign = order === "ascending" ? 1 : -1;
        var rows = Array.prototype.slice.call(body.rows).map(function (row) {
          var cell = row.cells[column], value = cell.getAttribute("data-value");
          var number = value === null || value === "" ? NaN : Number(value);
          return { row: row, number: number, text: cell.textContent.trim() };
        });
        var numeric = rows.some(function (item) { return !isNaN(item.number); });
        rows.sort(function (a, b) {
          if (!numeric) { return sign * a.text.localeCompare(b.text); }
          if (isNaN(a.number) || isNaN(b.number)) { return isNaN(a.number) - isNaN(b.number); }
          return sign * (a.number - b.number);
        });
        rows.forEach(function (item) { body.appendChild(item.row); });
      }
      head.addEventListener("click", sort);
      head.addEventListener("keydown", function (event) { if (event.key === "Enter") { sort(); } });
    });
  });

  // Long tables show their first rows until one asks for all, or searches.
  all("table[data-fold]").forEach(function (table) { table.classList.add("folded"); });
  all("button.unfold").forEach(function (button) {
    var table = document.getElementById(button.dataset.table);
    if (!table.classList.contains("folded")) { button.remove(); return; }
    var text = button.textContent;
    button.addEventListener("click", function () {
      button.textContent = table.classList.toggle("folded") ? text : "show the first 15";
    });
  });

  // Search fields: rows of a table, or the lines of every config group.
  function matches(text, wanted) { return text.toLowerCase().indexOf(wanted) >= 0; }
  all("input.filter").forEach(function (input) {
    input.addEventListener("input", function () {
      var wanted = input.value.trim().toLowerCase();
      if (input.dataset.rows) {
        var table = document.getElementById(input.dataset.rows).parentNode;
        table.classList.toggle("folded", wanted === "" && table.hasAttribute("data-fold"));
        all("tr", document.getElementById(input.dataset.rows)).forEach(function (row) {
          row.style.display = matches((row.querySelector(".name") || row).textContent, wanted) ? "" : "none";
        });
        return;
      }
      all("details", document.getElementById(input.dataset.groups)).forEach(function (group) {
        var whole = wanted !== "" && matches(group.querySelector("summary").textContent, wanted), hits = 0;
        all("dl > div", group).forEach(function (line) {
          var hit = whole || matches(line.textContent, wanted);
          line.style.display = hit ? "" : "none";
          hits += hit ? 1 : 0;
        });
        group.style.display = hits ? "" : "none";
        group.open = wanted !== "" && hits > 0;
      });
    });
  });
  all("button.toggle").forEach(function (button) {
    button.addEventListener("click", function () {
      var groups = all("details", document.getElementById(button.dataset.groups));
      var open = groups.some(function (group) { return !group.open; });
      groups.forEach(function (group) { group.open = open; });
      button.textContent = open ? "close all" : "open all";
    });
  });

  // Copy buttons. A page opened from a file may have no clipboard: then a selected text field serves.
  function copyText(text) {
    if (navigator.clipboard && window.isSecureContext) { return navigator.clipboard.writeText(text); }
    var field = document.createElement("textarea");
    field.value = text;
    document.body.appendChild(field);
    field.select();
    var done = document.execCommand("copy");
    field.remove();
    return done ? Promise.resolve() : Promise.reject(new Error("copy"));
  }
  document.addEventListener("click", function (event) {
    var button = event.target.closest("button.copy");
    if (!button) { return; }
    function say(text) {
      button.textContent = text;
      setTimeout(function () { button.textContent = "copy"; }, 1200);
    }
    copyText(button.dataset.copy).then(function () { say("copied"); }, function () { say("failed"); });
  });

  // The plan: the step under the pointer or the focus shows its facts and its arrows.
  var steps = all(".dag .step"), panels = all("[data-facts]"), edges = all(".dag .edge");
  function choose(id) {
    steps.forEach(function (step) { step.classList.toggle("chosen", step.dataset.step === id); });
    panels.forEach(function (panel) { panel.hidden = panel.dataset.facts !== id; });
    edges.forEach(function (edge) {
      edge.classList.toggle("chosen", edge.dataset.from === id || edge.dataset.to === id);
    });
  }
  if (panels.length) { choose(panels[panels.length - 1].dataset.facts); }
  steps.forEach(function (step) {
    ["mouseenter", "focus", "click"].forEach(function (name) {
      step.addEventListener(name, function () { choose(step.dataset.step); });
    });
  });

  // Printing shows what is folded.
  var folded = [];
  window.addEventListener("beforeprint", function () {
    folded = all("details").filter(function (group) { return !group.open; });
    folded.forEach(function (group) { group.open = true; });
  });
  window.addEventListener("afterprint", function () { folded.forEach(function (group) { group.open = false; }); });
})();

"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const make = (name, text, css) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (css) element.className = css;
  return element;
};

// Parts: a link opens the parts that it leads into; print opens all, and folds again what was folded.
const unfold = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target && target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  if (target) target.scrollIntoView();
};
addEventListener("hashchange", unfold);
unfold();
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll(":is(main, section) > details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => { for (const part of folded) part.open = false; });

// One tab stop a table and a figure: arrow keys, Home and End go on from there.
document.addEventListener("keydown", (event) => {
  const table = event.target.closest("table"), plot = event.target.closest("svg.plot");
  const stop = plot || event.target.closest("th, td");
  if (!stop || event.target.closest("input")) return;
  const all = plot ? [plot, ...plot.querySelectorAll(".point")] : [...table.querySelectorAll("button")].filter((one) => one.offsetParent);
  const place = all.indexOf(event.target), row = event.target.closest("tr");
  const column = stop.cellIndex;
  const beside = (step) => {
    if (plot) return all[place + step];
    const rows = [...table.rows].filter((one) => one.offsetParent), from = rows.indexOf(row);
    for (let at = from + step; at >= 0 && at < rows.length; at += step) {
      const button = rows[at].cells[column].querySelector("button");
      if (button) return button;
    }
  };
  const next = { ArrowRight: () => all[place + 1], ArrowLeft: () => all[place - 1], ArrowDown: () => beside(1), ArrowUp: () => beside(-1), Home: () => all[0], End: () => all[all.length - 1] }[event.key];
  const target = next && next();
  if (!target) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
});

// Tables: sort by a column, filter by words.
const key = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
};
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b
    : typeof a === "number" ? -1 : typeof b === "number" ? 1
    : a.localeCompare(b, undefined, { numeric: true });
for (const head of document.querySelectorAll("thead th")) {
  head.firstChild.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort((a, b) => compare(key(a, head.cellIndex), key(b, head.cellIndex)));
    body.append(...(down ? rows.reverse() : rows));
  });
}
for (const input of document.querySelectorAll(".filter input")) {
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    const table = document.getElementById(input.getAttribute("aria-controls"));
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

// Provenance: which stages stand behind a figure.
const provenance = read("provenance");
const source = document.getElementById("source");
document.addEventListener("click", (event) => {
  const asked = event.target.closest("button.source");
  if (!asked) return;
  const list = make("dl");
  const line = (name, value) => list.append(make("dt", name), make("dd", value || "not recorded"));
  line("run", provenance.run_id);
  for (const digest of asked.dataset.stages.split(" ")) {
    const stage = (provenance.stages || {})[digest] || {};
    line("stage", `${stage.name || "unknown"} (${digest})`);
    line("finished", stage.finished_at);
    line("commit", stage.git_commit);
    line("packages", stage.lock_digest);
    line("device", stage.device);
    if ((stage.judges || []).length) line("judge", stage.judges.join(", "));
  }
  source.firstElementChild.replaceChildren(make("h3", asked.textContent), list);
  source.showModal();
});
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
});

// Figures: what a point says, and a larger view to zoom and move.
const tip = document.getElementById("tip");
const show = (event) => {
  const point = event.target.closest && event.target.closest(".point");
  tip.hidden = !point;
  if (!point) return;
  tip.textContent = point.dataset.tip;
  const box = point.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(4, box.top - tip.offsetHeight - 6)}px`;
};
document.addEventListener("pointerover", show);
document.addEventListener("focusin", show);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
const zoom = document.getElementById("zoom");
const large = zoom.querySelector(".large");
const scale = (by) => {
  for (const plot of large.querySelectorAll(".plot")) {
    const { x, y, width, height } = plot.viewBox.baseVal;
    plot.setAttribute("viewBox", [x + (width * (1 - by)) / 2, y + (height * (1 - by)) / 2, width * by, height * by].join(" "));
  }
};
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    large.replaceChildren(button.closest("figure").querySelector(".panels").cloneNode(true));
    // Wide panels, such as forests, are largest below each other, others side by side.
    const { width, height } = large.querySelector(".plot").viewBox.baseVal;
    large.classList.toggle("stacked", width > 2.5 * height);
    zoom.showModal();
    zoom.append(tip);
  });
}
zoom.addEventListener("close", () => document.body.append(tip));
zoom.addEventListener("click", (event) => {
  const by = event.target.dataset && event.target.dataset.zoom;
  if (by) scale(Number(by));
});
large.addEventListener("wheel", (event) => { event.preventDefault(); scale(event.deltaY > 0 ? 1.1 : 0.9); });
large.addEventListener("pointermove", (event) => {
  const plot = event.target.closest(".plot");
  if (!plot || !event.buttons) return;
  const { x, y, width, height } = plot.viewBox.baseVal;
  const unit = width / plot.getBoundingClientRect().width;
  plot.setAttribute("viewBox", [x - event.movementX * unit, y - event.movementY * unit, width, height].join(" "));
});

// Answers: all arms side by side, filtered by contest, outcome and words.
const { contests, metrics, items } = read("exchanges");
const WORDS = { w: "won", l: "lost", t: "tied" };
const form = document.getElementById("browse");
if (form) {
  const SIZE = 20;
  let page = 0;
  const outcomeOf = (one) => WORDS[one.outcomes[contests.indexOf(form.contest.value)]];
  const chosen = () => {
    const contest = form.contest.value, outcome = form.outcome.value;
    const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    return items.filter((one) => {
      if (contest && !outcomeOf(one)) return false;
      if (form.differ.checked && !/[wl]/.test(contest ? outcomeOf(one)[0] : one.outcomes)) return false;
      if (outcome && !(contest ? outcomeOf(one) === outcome : one.outcomes.includes(outcome[0]))) return false;
      const text = [one.prompt, ...one.replies.map((reply) => reply.text)].join("\n").toLowerCase();
      return words.every((word) => text.includes(word));
    });
  };
  const item = (one) => {
    const details = make("details"), replies = make("div", undefined, "replies");
    const outcome = outcomeOf(one);
    const summary = make("summary", one.prompt.slice(0, 300));
    if (outcome) summary.prepend(make("strong", `${outcome} `, outcome));
    for (const reply of one.replies) {
      const box = make("div", undefined, "reply");
      box.append(make("h4", reply.arm), make("pre", reply.text || "(empty)"));
      reply.marks.forEach((value, place) => {
        if (value !== null) box.append(make("small", `${metrics[place]}: ${value}`));
      });
      if (reply.judge) box.append(make("small", `judge: ${reply.judge}`));
      if (reply.judgment) box.append(make("small", reply.judgment));
      replies.append(box);
    }
    details.append(summary, replies);
    const line = make("li");
    line.append(details);
    return line;
  };
  const draw = () => {
    const kept = chosen();
    const pages = Math.max(1, Math.ceil(kept.length / SIZE));
    page = Math.max(0, Math.min(page, pages - 1));
    document.getElementById("answers").replaceChildren(...kept.slice(page * SIZE, (page + 1) * SIZE).map(item));
    document.getElementById("place").textContent = `page ${page + 1} of ${pages}`;
    form.elements.count.textContent = `${kept.length} of ${items.length} prompts`;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => { page = 0; draw(); });
  for (const button of document.querySelectorAll("[data-page]"))
    button.addEventListener("click", () => { page += Number(button.dataset.page); draw(); });
  draw();
}

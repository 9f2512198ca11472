"use strict";
// Everything that a model or a file wrote is put in as text, never as markup.
const at = (id) => document.getElementById(id);
const CHOICES = {ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", 0: "tie", t: "tie", s: "skip"};
const buttons = [...document.querySelectorAll("button")];
let state = null, busy = false;

function put(element, text) {
  element.textContent = text === "" ? "(an empty answer)" : text;
  element.classList.toggle("empty", text === "");
  element.scrollTop = 0;
}

function conversation(messages) {
  const parts = [];
  for (const message of messages) {
    if (messages.length > 1) {
      const role = document.createElement("p");
      role.className = "role";
      role.textContent = message.role;
      parts.push(role);
    }
    const said = document.createElement("p");
    said.dir = "auto";
    said.textContent = message.content;
    parts.push(said);
  }
  return parts;
}

function show(next) {
  state = next;
  const open = state.messages !== null && !state.ended;
  at("duel").hidden = !open;
  at("done").hidden = open;
  at("progress").textContent = `${state.done} of ${state.total} this session`;
  if (open) {
    at("prompt").replaceChildren(...conversation(state.messages));
    at("prompt").scrollTop = 0;
    put(at("left"), state.left);
    put(at("right"), state.right);
    window.scrollTo(0, 0);
  }
  if (state.ended) {
    at("done-title").textContent = "Finished";
    at("done-text").textContent = "Every vote is saved, and this page can be closed. The terminal shows the counts.";
  }
  enable();
}

function enable() {
  for (const button of buttons) {
    const votes = "choice" in button.dataset;
    const can = votes ? state.messages !== null : button.id !== "undo" || state.can_undo;
    button.disabled = state.ended || !can;
  }
}

function complain(text) {
  at("problem").textContent = text;
  at("problem").hidden = text === "";
}

async function ask(action, body) {
  if (busy || state === null && action !== "state") return;
  busy = true;
  try {
    const sent = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
    const reply = await fetch(action, action === "state" ? {} : sent);
    if (reply.status !== 200 && reply.status !== 409) {
      const kind = reply.headers.get("Content-Type") || "";
      const why = kind.startsWith("application/json") ? (await reply.json()).error : `The server said ${reply.status}.`;
      complain(why);
      return;
    }
    complain(reply.status === 409 ? "That pair was voted on already; this is the next one." : "");
    show(await reply.json());
  } catch {
    complain("The server does not answer: votes given until now are saved. Start the command again to go on.");
  } finally {
    busy = false;
  }
}

const vote = (choice) => {
  if (state !== null && state.messages !== null && !state.ended) ask("vote", {key: state.key, choice});
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key in CHOICES && Object.hasOwn(CHOICES, key)) {
    event.preventDefault();
    vote(CHOICES[key]);
  } else if (key === "u" || key === "Backspace") {
    event.preventDefault();
    if (state !== null && state.can_undo && !state.ended) ask("undo", {});
  }
});
for (const button of buttons) {
  button.addEventListener("click", () => {
    if (button.dataset.choice) vote(button.dataset.choice);
    else ask(button.id, {});
  });
}
ask("state");

// An answer of a quiz that is opened says at once whether it is right, to eyes and to screen readers, and the first
// choice of each question counts. Without this script the quiz works as well: the answers open.
// On paper the page is light, whatever the window is.
const root = document.documentElement;
addEventListener("beforeprint", () => { root.dataset.before = root.dataset.theme; root.dataset.theme = "light"; });
addEventListener("afterprint", () => { root.dataset.theme = root.dataset.before; });

document.addEventListener("DOMContentLoaded", () => {
  const heading = document.querySelector("section#quiz");
  if (!heading) return;
  const said = document.createElement("p");
  said.className = "quiz-score";
  said.setAttribute("role", "status");
  heading.append(said);
  const chosen = new Map(); // question -> whether its first choice was right
  let question = null, questions = 0;
  for (const element of heading.querySelectorAll("p > strong:first-child, details")) {
    if (element.tagName === "STRONG") { question = element.textContent; questions += 1; continue; }
    const mine = question, right = element.querySelector("p").textContent.startsWith("Right:");
    element.classList.add("quiz-answer", right ? "right" : "wrong");
    element.addEventListener("toggle", () => {
      if (!element.open) return;
      if (!chosen.has(mine)) chosen.set(mine, right);
      const good = [...chosen.values()].filter(Boolean).length;
      said.textContent = `${right ? "Right." : "Not this one."} At the first choice: ${good} right of ${chosen.size} `
        + `answered; there are ${questions} questions.`;
    });
  }
});

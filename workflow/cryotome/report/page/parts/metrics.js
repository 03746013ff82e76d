// the table of all metrics: what is chosen is built from the numbers in the page
const choice = document.getElementById("choice");
if (choice) {
  const { titles, shown, lower, blocks, labels } = JSON.parse(document.getElementById("choices").textContent);
  const names = Object.keys(titles), part = (name) => choice.querySelector(`[data-part=${name}]`);
  const table = choice.querySelector("table"), dataset = part("dataset"), scheme = part("scheme");
  const option = (value, text) => new Option(text, value);
  const heads = () => [...choice.querySelectorAll("input:checked")].map((box) => box.value);
  const block = () => blocks[Number(scheme.value)];
  const as = (value) => value.toFixed(3);
  const interval = ([, low, high]) => (low === null ? "" : `${as(low)} to ${as(high)}`);

  const found = [...new Set(blocks.map((one) => one.dataset))];
  dataset.append(...found.map((name) => option(name, name)));
  for (const name of names) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: name, checked: shown.includes(name) });
    const label = document.createElement("label");
    label.append(box, titles[name]);
    part("metrics").append(label);
  }

  function fillSchemes() {
    const mine = blocks.map((one, n) => [one, n]).filter(([one]) => one.dataset === dataset.value);
    scheme.replaceChildren(...mine.map(([one, n]) => option(n, one.scheme)));
  }

  function cell(text, value, tag = "td") {
    const made = document.createElement(tag);
    if (tag === "td") made.className = "number";
    if (value !== null) made.dataset.v = value;
    if (tag === "td" && text) {
      const link = Object.assign(document.createElement("a"), { href: table.dataset.href, title: table.dataset.rule });
      link.append(text);
      made.append(link);
    } else made.append(text);
    return made;
  }

  function head(text) {
    const made = document.createElement("th"), button = document.createElement("button");
    made.scope = "col";
    made.setAttribute("aria-sort", "none");
    button.type = "button";
    button.append(text);
    made.append(button);
    return made;
  }

  function fillTable() {
    const chosen = heads(), row = table.tHead.rows[0], better = lower.includes(chosen[0]) ? 1 : -1;
    row.replaceChildren(head("Row"), ...chosen.flatMap((name) => [
      head(titles[name] + (lower.includes(name) ? ", less is better" : "")), head("95 % interval")]));
    const at = (line, name) => line[1 + names.indexOf(name)];
    const sorted = [...block().lines];
    if (chosen.length) sorted.sort((a, b) => better * ((at(a, chosen[0])[0] ?? Infinity * better) - (at(b, chosen[0])[0] ?? Infinity * better)));
    table.tBodies[0].replaceChildren(...sorted.map((line) => {
      const made = document.createElement("tr"), first = cell(labels[line[0]], labels[line[0]], "th");
      const mark = document.querySelector(`.legend input[value="${CSS.escape(line[0])}"]`)?.parentElement.querySelector(".mark");
      if (mark) first.prepend(mark.cloneNode(true));
      first.scope = "row";
      made.line = line;
      made.append(first, ...chosen.flatMap((name) => {
        const three = at(line, name);
        return [cell(three[0] === null ? "" : as(three[0]), three[0]), cell(interval(three), three[1])];
      }));
      return made;
    }));
    part("name").textContent = `${block().dataset}, ${block().scheme}`;
  }

  // lines of the table as it stands: its row, then value, low and high of each chosen metric
  const lines = () => [...table.tBodies[0].rows].map(({ line }) => [line[0], ...heads().map((name) => line[1 + names.indexOf(name)])]);
  const pair = (three) => (three[0] === null ? "" : as(three[0]) + (three[1] === null ? "" : ` (${interval(three)})`));
  const texts = () => lines().map(([row, ...values]) => [labels[row], ...values.map(pair)]);
  const writers = {
    csv() {
      const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
      const first = ["dataset", "scheme", "row", "title", ...heads().flatMap((name) => [name, `${name}_low`, `${name}_high`])];
      const rest = lines().map(([row, ...values]) => [...[block().dataset, block().scheme, row, labels[row]].map(quoted), ...values.flat().map((value) => value ?? "")]);
      return [first, ...rest].map((line) => line.join(",") + "\n").join("");
    },
    markdown() {
      const first = ["Row", ...heads().map((name) => titles[name])];
      const escaped = (text) => text.replaceAll("|", "\\|");
      return [first, first.map((_, n) => (n ? "---:" : "---")), ...texts()].map((line) => `| ${line.map(escaped).join(" | ")} |\n`).join("");
    },
    latex() {
      const signs = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
      const escaped = (text) => text.replace(/[\\~^&%$#_{}]/g, (sign) => signs[sign] ?? `\\${sign}`);
      const line = (values) => `${values.map(escaped).join(" & ")} \\\\\n`;
      const first = line(["Row", ...heads().map((name) => titles[name])]);
      return `% ${part("name").textContent}, 95 % intervals\n\\begin{tabular}{l${"r".repeat(heads().length)}}\n\\hline\n${first}\\hline\n${texts().map(line).join("")}\\hline\n\\end{tabular}\n`;
    },
  };

  async function copy(text) {
    try { await navigator.clipboard.writeText(text); } catch { // an old browser, or no leave
      const area = document.createElement("textarea");
      area.value = text;
      choice.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  choice.addEventListener("click", async ({ target }) => {
    const kind = target.dataset?.as;
    if (!kind) return;
    const text = writers[kind]();
    if (kind === "csv") {
      const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      Object.assign(document.createElement("a"), { href, download: "metrics.csv" }).click();
      URL.revokeObjectURL(href);
    } else await copy(text);
    part("said").textContent = kind === "csv" ? "Saved as metrics.csv." : "Copied.";
  });
  choice.addEventListener("change", ({ target }) => {
    if (target === dataset) fillSchemes();
    fillTable();
    part("said").textContent = "";
  });
  fillSchemes();
  fillTable();
  choice.hidden = false;
}

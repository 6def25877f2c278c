// Filters of the scorecard's rows, and rows that unfold when a link leads to them. Works from a file, without a network.
(() => {
  const form = document.querySelector(".pk-filters");
  const rows = [...document.querySelectorAll("details.pk-row")];
  const told = form.querySelector("output");

  function filter() {
    const wanted = [...new FormData(form)].filter(([, value]) => value);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !wanted.every(([name, value]) =>
        name === "runs" ? row.dataset.runs.split(" ").includes(value) : row.dataset[name] === value);
      shown += row.hidden ? 0 : 1;
    }
    told.textContent = `${shown} of ${rows.length} claims`;
  }

  function unfold() {
    const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!row || !rows.includes(row)) return;
    if (row.hidden) form.reset();
    filter();
    row.open = true;
    row.scrollIntoView();
  }

  form.hidden = false;
  form.addEventListener("change", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", unfold);
  filter();
  unfold();
})();

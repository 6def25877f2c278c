// Boxes that scroll sideways can be scrolled by keyboard: where one does, the tabulator key stops at it.
(() => {
  const boxes = ["div.math", "mjx-container[display]", ".pk-figure", ".wide"].map((box) => `.bd-article ${box}`).join();

  function reach() {
    const measured = [...document.querySelectorAll(boxes)].map((box) =>
      [box, box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible"]);
    for (const [box, scrolls] of measured) {
      if (scrolls) box.tabIndex = 0;
      else if (box.tabIndex === 0) box.removeAttribute("tabindex");
    }
  }

  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(reach, 100); };
  addEventListener("resize", soon);
  addEventListener("load", () => {
    if (window.MathJax?.startup?.promise) MathJax.startup.promise.then(reach);
    reach();
  });
})();

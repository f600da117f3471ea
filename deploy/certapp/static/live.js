// Shows the app's render counter beside the page's own, so that a reload out of
// a cache is seen for what it is: the app's number does not move.
(() => {
  const box = document.getElementById("live");
  let stream;
  const open = () => {
    stream = new EventSource("/eventos");
    stream.addEventListener("renders", (event) => {
      box.querySelector("b").textContent = JSON.parse(event.data).renders;
      box.hidden = false;
    });
  };
  const close = () => { stream?.close(); stream = undefined; };
  // A hidden tab gives its connection back: browsers allow six a site.
  document.addEventListener("visibilitychange", () => document.hidden ? close() : stream || open());
  addEventListener("pagehide", close);
  if (!document.hidden) open();
})();

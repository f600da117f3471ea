// Tells whether this page came out of the edge's store or from the app, and, on
// some pages, how many the app has rendered meanwhile.
(() => {
  const rendered = Date.parse(document.querySelector(".strip time")?.dateTime);
  const from = document.getElementById("from");
  const tell = () => {
    const visit = performance.getEntriesByType("navigation")[0];
    if (!visit?.responseEnd || Number.isNaN(rendered)) return;
    const took = Math.max(1, Math.round(visit.responseEnd - visit.requestStart));
    // A page that was rendered before it was asked for was stored somewhere.
    const age = performance.timeOrigin + visit.requestStart - rendered;
    const stored = age > 0;
    const s = Math.round(age / 1000);
    const old = s < 1 ? "just now" : s < 90 ? `${s} s ago` : `${Math.round(s / 60)} min ago`;
    from.textContent = stored ? `From the edge in ${took} ms: stored ${old}` : `From the app in ${took} ms`;
    from.classList.add(stored ? "edge" : "app");
    from.hidden = false;
  };
  if (document.readyState === "complete") tell(); else addEventListener("load", () => setTimeout(tell));

  const box = document.getElementById("live");
  if (!box) return;
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

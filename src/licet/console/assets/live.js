// Keeps /console/now live: rows go on top of the list, the state above it is replaced. Nobody looks: nothing is asked.
(() => {
  const list = document.querySelector("[data-stream]"), body = list.tBodies[0];
  const state = document.getElementById("state"), said = document.getElementById("live");
  const pause = document.getElementById("pause"), most = 50;
  let source = null, paused = false;
  let latest = state.innerHTML;
  const show = () => {
    if (state.contains(document.activeElement)) return; // a link with the focus stays
    const before = state.querySelector(".verdict").textContent;
    state.innerHTML = latest;
    const now = state.querySelector(".verdict").textContent;
    if (now !== before) document.getElementById("said").textContent = now; // told aloud where it is another one
  };
  const last = () => body.rows[0]?.dataset.sequence ?? 0;
  const close = (why) => { source?.close(); source = null; said.textContent = why; };
  const open = () => {
    if (paused || source || document.hidden) return;
    source = new EventSource(`${list.dataset.stream}?after=${last()}`);
    source.onopen = () => { said.textContent = "Live."; };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) close("Not live any more: load the page anew.");
      else said.textContent = "Not live: trying again …";
    };
    source.addEventListener("state", (event) => { latest = event.data; show(); });
    source.addEventListener("rows", (event) => {
      document.getElementById("none")?.remove();
      body.insertAdjacentHTML("afterbegin", event.data);
      while (body.rows.length > most) body.deleteRow(-1);
    });
  };
  state.addEventListener("focusout", () => setTimeout(show));
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    paused ? close("Paused.") : open();
  });
  document.addEventListener("visibilitychange", () =>
    document.hidden ? close(paused ? "Paused." : "Waiting to be looked at.") : open());
  addEventListener("pagehide", () => close("Not live."));
  addEventListener("pageshow", open);
  open();
})();

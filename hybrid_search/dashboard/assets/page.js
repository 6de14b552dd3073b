// What the page does in the browser: theme, selection, address, status. No function is built from text.
(function () {
  "use strict";
  const root = document.documentElement;
  const page = () => document.getElementById("page");
  const NO = () => window.dash_clientside.no_update;
  const triggered = () => (window.dash_clientside.callback_context.triggered[0] || {}).prop_id || "";
  let grid = null; // the table's interface, once it exists
  let answeredAt = null; // when the server last answered, by this browser's clock
  let pinned = [];
  let refreshing = false; // a refresh before the first drawing would draw everything twice
  let applied = null; // the request whose trials were selected
  let before = null; // the selection before the last click on a point, and when that was
  let doubled = 0; // when a double click on the front was the last

  function stored() {
    try { return localStorage.getItem("hybrid-search-theme"); } catch (error) { return null; }
  }
  function apply(theme) {
    root.dataset.theme = theme;
    root.dataset.agThemeMode = theme;
  }
  function preferred() {
    return stored() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  }
  function webgl() {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") || canvas.getContext("webgl"));
  }
  const drawsWebgl = webgl();
  apply(preferred());

  function toggled(number) {
    if (pinned.includes(number)) return pinned.filter((n) => n !== number);
    return pinned.length < 2 ? [...pinned, number] : [pinned[0], number];
  }

  function select() {
    if (!grid) return;
    grid.forEachNode((node) => {
      const wanted = pinned.includes(node.data.trial);
      if (Boolean(node.isSelected()) !== wanted) node.setSelected(wanted);
    });
  }

  function selected() {
    const rows = grid.getSelectedNodes().map((node) => node.data.trial);
    const still = pinned.filter((number) => rows.includes(number) || !grid.getRowNode(String(number)));
    const added = rows.filter((number) => !still.includes(number));
    const next = [...still, ...added];
    const two = next.length > 2 ? [next[0], next[next.length - 1]] : next;
    window.dash_clientside.set_props("pinned", { data: two });
  }

  function rowCount() {
    let total = 0;
    grid.forEachNode(() => { total += 1; });
    const shown = grid.getDisplayedRowCount();
    const all = `${total.toLocaleString("en")} trial${total === 1 ? "" : "s"}`;
    return shown === total ? all : `${shown.toLocaleString("en")} of ${all}`;
  }

  const BY_HAND = ["rowClicked", "checkboxSelected", "spaceKey"]; // every other change comes from this script
  async function findGrid() {
    if (grid) return grid;
    grid = await window.dash_ag_grid.getApiAsync("table");
    grid.addEventListener("selectionChanged", (event) => {
      if (BY_HAND.includes(event.source)) selected();
      else setTimeout(select, 0); // the table's wrapper clears the selection once its first rows are in
    });
    grid.addEventListener("rowDataUpdated", () => {
      select();
      window.dash_clientside.set_props("row-count", { children: rowCount() });
    });
    return grid;
  }

  function painted() {
    const plot = document.querySelector("#front .js-plotly-plot");
    return plot && plot._fullLayout && plot.querySelector(".main-svg");
  }

  const DOUBLE = 600; // ms; plotly takes two clicks within 300 ms for a double click
  // A double click resets the zoom. Its first click selected a trial if it hit a point.
  function undoFirstClick() {
    doubled = Date.now();
    if (before && doubled - before.at < DOUBLE) window.dash_clientside.set_props("pinned", { data: before.pins });
    before = null;
  }

  async function ready(received) {
    await findGrid();
    while (!painted()) await new Promise(requestAnimationFrame);
    const plot = document.querySelector("#front .js-plotly-plot");
    plot.removeListener("plotly_doubleclick", undoFirstClick);
    plot.on("plotly_doubleclick", undoFirstClick);
    select();
    window.dash_clientside.set_props("row-count", { children: rowCount() });
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    page().dataset.version = received.version;
    page().dataset.theme = received.wanted.theme;
    page().dataset.ready = "true";
    if (!refreshing) window.dash_clientside.set_props("refresh", { disabled: false });
    refreshing = true;
  }

  function clock(ms) {
    return new Date(ms).toLocaleTimeString([], { hour12: false });
  }
  function ago(ms) {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 90) return `${s} s ago`;
    if (s < 5400) return `${Math.round(s / 60)} min ago`;
    if (s < 129600) return `${Math.round(s / 3600)} h ago`;
    return `${Math.round(s / 86400)} days ago`;
  }

  const SILENT = 10000; // ms without an answer before the banner appears
  const OVERDUE = 5000, SLOW = 15000; // ms without an answer before the page refreshes less often, and how often then
  const STALLED = 300000; // ms without a report while trials run, before the banner appears

  let slow = false;
  function pace(silence) { // a server that is gone would fill the console with failed requests
    if (slow === (silence > OVERDUE)) return;
    slow = !slow;
    window.dash_clientside.set_props("refresh", { interval: slow ? SLOW : Number(page().dataset.refresh) });
  }

  const functions = {
    theme(clicks) {
      let theme = preferred();
      if (clicks) {
        theme = root.dataset.theme === "dark" ? "light" : "dark";
        try { localStorage.setItem("hybrid-search-theme", theme); } catch (error) { /* private window */ }
      }
      apply(theme);
      return [{ theme: theme, webgl: drawsWebgl }, theme === "dark" ? "Light" : "Dark"];
    },

    query: () => location.search, // read once; later changes of the address come from the page itself

    pin(click, requested) {
      if (click) {
        const data = (click.points[0] || {}).customdata;
        if (Date.now() - doubled < DOUBLE) return [NO(), null];
        before = { pins: pinned, at: Date.now() };
        return data ? [toggled(data[0]), null] : [NO(), null];
      }
      return requested && requested !== applied ? [(applied = requested).trials, NO()] : [NO(), NO()];
    },

    applyPins(received, pins) {
      pinned = pins || [];
      if (received) ready(received);
      return NO();
    },

    address(search, x, y, colour, log, pins) {
      if (search) {
        const query = new URLSearchParams({ search: search, x: x, y: y, colour: colour });
        if (!(log && log.length)) query.set("log", "0");
        if (pins && pins.length) query.set("trials", pins.join(","));
        history.replaceState(history.state, "", "?" + query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":"));
      }
      return NO();
    },

    status(_ticks, heartbeat) {
      if (triggered().startsWith("heartbeat") || answeredAt === null) answeredAt = Date.now();
      if (!heartbeat) return ["connecting", "status", "", true];
      pace(Date.now() - answeredAt);
      if (Date.now() - answeredAt > SILENT)
        return ["not updating", "status off", `The page is not updating: its server has not answered since ${clock(answeredAt)}. The numbers are from that time.`, false];
      if (heartbeat.error)
        return ["not updating", "status off", `The page is not updating: the ledger cannot be read (${heartbeat.error}). The numbers are older.`, false];
      if (!heartbeat.changed) return [heartbeat.driven ? "live, no trial has ended yet" : "no trial has ended yet", heartbeat.driven ? "status on" : "status idle", "", true];
      const since = Date.now() - heartbeat.changed;
      const when = `last update ${clock(heartbeat.changed)}, ${ago(since)}`;
      if (heartbeat.running && !heartbeat.driven) return [`interrupted, ${when}`, "status idle", "", true];
      if (heartbeat.running && since > STALLED)
        return [when, "status off", `No report for ${ago(since).replace(" ago", "")}, but ${heartbeat.running} trial${heartbeat.running > 1 ? "s are" : " is"} running: the search may have stopped. Run the same command to continue.`, false];
      if (!heartbeat.running) return [`${heartbeat.ended >= heartbeat.target ? "finished" : "idle"}, ${when}`, "status idle", "", true];
      return [`live, ${when}`, "status on", "", true];
    },

    filter(text, rows) {
      if (!grid) return NO();
      if (grid.getGridOption("quickFilterText") !== (text || "")) grid.setGridOption("quickFilterText", text || "");
      return rowCount();
    },

    clearFilters() {
      if (grid) grid.setFilterModel(null);
      return "";
    },

    requestDownload(csv, json) {
      if (!grid || (!csv && !json)) return NO();
      const trials = [];
      grid.forEachNodeAfterFilterAndSort((node) => trials.push(node.data.trial));
      return { format: triggered().startsWith("csv") ? "csv" : "json", trials: trials, n: (csv || 0) + (json || 0) };
    },
  };
  window.dash_clientside = Object.assign({}, window.dash_clientside, { page: functions });

  async function copied(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) { // no permission, or a page without TLS
      const box = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(box);
      box.select();
      document.execCommand("copy");
      box.remove();
      button.focus(); // it was on the text that is gone
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  document.addEventListener("click", (event) => {
    if (event.target.dataset.copy) copied(event.target);
    if (event.target.id === "clear-selection") window.dash_clientside.set_props("pinned", { data: [] });
  });

  const SYMBOLS = { completed: "●", running: "◌", pruned: "■", failed: "✕" };
  const empty = (value) => value === null || value === undefined;
  // Significant digits as Python rounds them: halfway, to the even digit. toPrecision and toFixed would round up.
  function rounded(value, digits) {
    const [mantissa, exponent] = value.toExponential(60).split("e");
    const exact = mantissa.replace(/[-.]/g, "");
    const cut = exact.slice(0, digits);
    if (digits < 1 || !/^50*$/.test(exact.slice(digits)) || Number(cut.at(-1)) % 2) return Number(value.toPrecision(Math.max(digits, 1)));
    return Math.sign(value) * Number(`${cut[0]}.${cut.slice(1)}e${exponent}`);
  }
  function scaled(value) {
    for (const [bound, prefix] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
      if (Math.abs(value) >= bound * 0.9995) return rounded(value / bound, 3) + prefix;
    return String(rounded(value, 3));
  }
  function share(value) {
    const percent = 100 * value;
    const digits = percent ? Math.floor(Math.log10(Math.abs(percent)) + 1e-12) + 3 : 3;
    return (digits < 1 ? percent : rounded(percent, digits)).toFixed(2);
  }
  window.dashAgGridFunctions = Object.assign({}, window.dashAgGridFunctions, {
    hsShare: (params) => (empty(params.value) ? "-" : share(params.value)),
    hsScaled: (params) => (empty(params.value) ? "-" : scaled(params.value)),
    hsEmptyLast: (a, b, nodeA, nodeB, descending) => {
      if (empty(a) || empty(b)) return (Number(empty(a)) - Number(empty(b))) * (descending ? -1 : 1);
      return a - b;
    },
    hsPattern: (params) => params.data.pattern,
    hsState: (params) => `${SYMBOLS[params.value] || ""} ${params.value}`.trim(),
  });
})();

// The figures: asked for every few seconds while the page can be seen.

// call asks the API; a problem detail becomes an Error with it as .problem.
async function call(method, path, body) {
  const init = { method, headers: {} };
  if (method !== 'GET') init.headers['Umbral-Csrf'] = '1';
  if (body !== undefined) { init.headers['Content-Type'] = 'application/json'; init.body = JSON.stringify(body); }
  const res = await fetch(path, init);
  if (res.status === 401) { location.reload(); throw new Error('signed out'); }
  if (res.status === 204) return null;
  const answer = await res.json();
  if (!res.ok) throw Object.assign(new Error(answer.detail || answer.title), { problem: answer });
  return answer;
}

const state = { range: '15m', stats: null, seen: [], routes: [], sort: { key: 'requests', down: true }, lost: null };
const rangeMs = () => ({ '5m': 3e5, '15m': 9e5, '1h': 36e5 })[state.range];
const ratioOf = (hits, all) => all > 0 ? hits / all : null;

let drawHits, drawLatency;

function points() {
  const history = state.stats.history || [];
  // Without a history of the edge's own, what this page has seen must do.
  return (history.length > 1 ? history : state.seen).map(p => ({ ...p, t: Date.parse(p.at), ratio: ratioOf(p.hits, p.requests), rate: p.requests / (p.over_ms / 1000) }));
}

function remember(now) {
  const last = state.stats;
  if (last && now.requests >= last.requests && Date.parse(now.at) > Date.parse(last.at)) {
    state.seen.push({ at: now.at, over_ms: Date.parse(now.at) - Date.parse(last.at), requests: now.requests - last.requests, hits: now.hits - last.hits, errors: now.errors - last.errors, p50_ms: now.p50_ms, p99_ms: now.p99_ms });
    if (state.seen.length > 720) state.seen.shift();
  }
  state.stats = now;
}

function figure(id, text) {
  const [n, unit] = text.split(/ (?=[^ ]+$)/);
  $(id).replaceChildren(n, unit ? h('small', {}, unit) : '');
}

function showTiles(list) {
  const n = state.stats, until = Date.parse(n.at);
  const recent = list.filter(p => p.t > until - 60000);
  const sum = key => recent.reduce((a, p) => a + p[key], 0);
  const secs = recent.reduce((a, p) => a + p.over_ms, 0) / 1000;
  figure('k-ratio', say.percent(ratioOf(sum('hits'), sum('requests'))));
  $('k-ratio-sub').textContent = `last minute · ${say.percent(ratioOf(n.hits, n.requests))} since start`;
  figure('k-rate', secs ? say.rate(sum('requests') / secs) + ' /s' : '–');
  $('k-rate-sub').textContent = `${say.count(n.in_flight)} in flight · ${say.count(n.collapsed)} collapsed`;
  figure('k-p50', say.ms(n.p50_ms));
  $('k-p50-sub').textContent = `p99 ${say.ms(n.p99_ms)}`;
  figure('k-errors', say.count(sum('errors')));
  $('k-errors-sub').textContent = `last minute · ${say.count(n.errors)} since start`;
  figure('k-memory', say.bytes(n.memory.bytes));
  const full = ratioOf(n.memory.bytes, n.memory.limit) || 0;
  $('k-memory-bar').style.width = Math.min(100, full * 100) + '%';
  $('k-memory-sub').textContent = n.memory.limit ? `of ${say.bytes(n.memory.limit)} · ${say.count(n.memory.entries)} pages` : 'off';
  $('k-memory-sub').title = `${say.count(n.memory.evictions)} evicted, ${say.bytes(n.memory.personal_bytes)} of it personal pages`;
}

function pill(kind, text, title) { return h('span', { class: 'pill ' + kind, title }, text); }

function showState() {
  const n = state.stats, r = n.redis;
  const well = n.upstreams.filter(u => u.healthy).length;
  $('edge-name').textContent = [n.edge, n.version, n.started && 'up ' + say.span(Date.parse(n.at) - Date.parse(n.started))].filter(Boolean).join(' · ');
  document.title = (r.up && n.reload.ok && !state.lost ? '' : '⚠ ') + 'Umbral' + (n.edge ? ' · ' + n.edge : '');
  $('pills').replaceChildren(
    state.lost ? pill('bad', 'edge does not answer') : pill('good', 'edge'),
    r.up ? pill('good', 'Redis') : pill('bad', 'Redis down'),
    n.upstreams.length ? pill(well === n.upstreams.length ? 'good' : well ? 'warn' : 'bad', `app ${well}/${n.upstreams.length}`) : '',
    n.reload.ok ? pill('good', 'rules') : pill('bad', 'rules: faults'),
    n.purges.lost ? pill('bad', 'purge log lost', 'Everything stored is taken for stale until the log is back') : '');
  const banners = [];
  if (!n.reload.ok) banners.push(faults('The last reload met faults. What was in force before still is.', n.reload.faults || []));
  if (!r.up) banners.push(h('div', { class: 'banner' }, h('b', {}, 'Redis cannot be reached'), r.since ? ` for ${say.span(Date.parse(n.at) - Date.parse(r.since))}. ` : '. ', h('span', { class: 'muted' }, 'Public pages are served from memory and from the app. ' + (r.error || ''))));
  if (n.purges.lost) banners.push(h('div', { class: 'banner' }, h('b', {}, 'The purge log is out of reach. '), h('span', { class: 'muted' }, 'Everything stored is taken for stale until this edge has caught up.')));
  $('banners').replaceChildren(...banners);
}

function faults(title, list) {
  return h('div', { class: 'banner' }, h('b', {}, title), h('ul', {}, ...list.map(f =>
    h('li', {}, h('span', { class: 'at' }, [f.setting, f.file, f.line, f.column].filter(Boolean).join(':') + ': '), f.message))));
}

function showRoutes() {
  const value = r => state.sort.key === 'ratio' ? ratioOf(r.hits, r.requests) ?? -1 : r[state.sort.key];
  const way = state.sort.down ? -1 : 1;
  const list = [...state.routes].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * way);
  $('routes-sub').textContent = `${state.routes.length} in force`;
  for (const b of document.querySelectorAll('#routes th button')) {
    if (b.dataset.sort === state.sort.key) b.parentNode.setAttribute('aria-sort', state.sort.down ? 'descending' : 'ascending');
    else b.parentNode.removeAttribute('aria-sort');
  }
  document.querySelector('#routes tbody').replaceChildren(...list.map(r => {
    const ratio = ratioOf(r.hits, r.requests), of = n => (r.requests ? n / r.requests * 100 : 0) + '%';
    return h('tr', {},
      h('td', { class: 'route', title: (r.tags || []).length ? 'tags: ' + r.tags.join(', ') : null }, r.pattern === '-' ? h('span', { class: 'dim' }, 'not listed') : r.pattern),
      h('td', {}, h('span', { class: 'badge ' + (r.ttl === 'off' ? 'off' : 'ttl') }, r.ttl), r.ttl === 'off' || r.vary === 'public' ? '' : h('span', { class: 'badge ' + r.vary }, 'per ' + r.vary), ...(r.notes || []).map(t => h('span', { class: 'badge' }, t))),
      h('td', { class: 'num' }, say.count(r.requests)),
      h('td', {}, h('div', { class: 'split', title: `${r.hits} hits, ${r.misses} misses, ${r.passes} passed` }, h('div', { class: 'bar' }, h('i', { class: 'hit', width: of(r.hits) }), h('i', { class: 'miss', width: of(r.misses) }), h('i', { class: 'pass', width: of(r.passes) })), h('b', {}, say.percent(ratio)))),
      h('td', { class: 'num' }, r.requests ? say.ms(r.p50_ms) : '–'), h('td', { class: 'num' }, r.requests ? say.ms(r.p99_ms) : '–'),
      h('td', { class: 'num' }, say.bytes(r.bytes)), h('td', { class: 'num' + (r.errors ? ' no' : ' dim') }, say.count(r.errors)));
  }));
}

function rows(list) { return list.flatMap(([k, v]) => v === null || v === '' || v === undefined ? [] : [h('dt', {}, k), h('dd', { title: String(v) }, v)]); }

function showRedis() {
  const r = state.stats.redis, looked = r.keyspace_hits + r.keyspace_misses;
  $('redis-pill').replaceChildren(r.up ? pill('good', 'up') : pill('bad', 'down'));
  const full = ratioOf(r.used_memory, r.maxmemory);
  const bar = h('i', { class: full > .9 ? 'full' : '', width: Math.min(100, (full || 0) * 100) + '%' });
  $('redis').replaceChildren(...rows([
    ['Memory', (r.used_memory ? say.bytes(r.used_memory) : '–') + (r.maxmemory ? ' of ' + say.bytes(r.maxmemory) : '')]]), full === null ? '' : h('div', { class: 'meter' }, bar), ...rows([
    ['When full', r.maxmemory_policy], ['Evicted keys', say.count(r.evicted_keys)],
    ['Keyspace hits', looked ? say.percent(r.keyspace_hits / looked) : '–'], ['Commands', say.count(r.total_commands_processed)],
    ['Clients', say.count(r.connected_clients)], ['Round trip', say.ms(r.latency_ms)], ['Breaker', r.breaker], ['Server', [r.version, r.mode].filter(Boolean).join(' · ')],
    ['Sessions', `${say.count(state.stats.sessions.active)} active`], ['Purge log', `${say.count(state.stats.purges.records)} ${state.stats.purges.records === 1 ? 'record' : 'records'} · at ${state.stats.purges.position || '–'}`]]));
}

function showEdges(list) {
  $('edges-sub').textContent = list.length === 1 ? '1 alive' : `${list.length} alive`;
  document.querySelector('#edges tbody').replaceChildren(...list.map(e => h('tr', {},
    h('td', { class: 'route' }, e.id, e.self ? h('span', { class: 'dim' }, ' (this one)') : ''),
    h('td', { class: 'dim' }, e.version || ''),
    h('td', { title: 'how far it has followed the purge log' }, e.behind ? h('span', { class: 'no' }, `${say.count(e.behind)} behind`) : h('span', { class: 'yes' }, 'up to date')),
    h('td', { class: 'num', title: 'how long its newest purge took to arrive' }, say.ms(e.lag_ms)))));
  document.querySelector('#upstreams tbody').replaceChildren(...state.stats.upstreams.map(u => h('tr', {},
    h('td', { class: 'route' }, u.url), h('td', {}, u.healthy ? h('span', { class: 'yes' }, 'healthy') : h('span', { class: 'no' }, u.detail || 'down')), h('td', { class: 'num dim' }, `${say.count(u.in_flight)} in flight`))));
}

function showCharts(list) {
  const until = Date.parse(state.stats.at);
  // A young edge fills the chart with what there is, a minute at least.
  const from = Math.max(until - rangeMs(), Math.min(list[0]?.t ?? until, until - 60000));
  const within = list.filter(p => p.t >= from);
  drawHits(within, from, until);
  drawLatency(within, from, until);
}

async function refresh() {
  try {
    const [stats, routes, edges] = await Promise.all([call('GET', '/v1/stats?history=' + state.range), call('GET', '/v1/routes'), call('GET', '/v1/edges').catch(() => ({ edges: [] }))]);
    state.lost = null;
    remember(stats);
    state.routes = routes.routes;
    const list = points();
    showTiles(list); showCharts(list); showState(); showRoutes(); showRedis(); showEdges(edges.edges);
  } catch (err) {
    state.lost = err;
    if (state.stats) showState();
    else $('banners').replaceChildren(h('div', { class: 'banner' }, err.message));
  }
}

function press(group, attr, on) {
  group.addEventListener('click', e => {
    const b = e.target.closest('button');
    if (!b) return;
    for (const other of group.querySelectorAll('button')) other.setAttribute('aria-pressed', other === b);
    on(b.dataset[attr]);
  });
}

function startFigures() {
  drawHits = chart($('chart-hits'), [
    { name: 'hit ratio', of: p => p.ratio, colour: '--hit', fill: .13, max: 1, text: say.percent },
    { name: 'requests', of: p => p.rate, colour: '--pass', aside: true, room: 1.6, text: v => say.rate(v) + '/s' }]);
  drawLatency = chart($('chart-latency'), [
    { name: 'p99', of: p => p.requests ? p.p99_ms : null, colour: '--stale', fill: .07, text: say.ms },
    { name: 'p50', of: p => p.requests ? p.p50_ms : null, colour: '--accent', fill: .12, text: say.ms }], true);
  press($('range'), 'range', range => { state.range = range; refresh(); });
  document.querySelector('#routes thead').addEventListener('click', e => {
    const key = e.target.dataset.sort;
    if (!key) return;
    state.sort = { key, down: state.sort.key === key ? !state.sort.down : key !== 'pattern' };
    showRoutes();
  });
  const themes = ['auto', 'light', 'dark'];
  const wear = t => {
    if (t === 'auto') delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = t;
    $('theme').textContent = t[0].toUpperCase() + t.slice(1);
    localStorage.setItem('umbral-theme', t);
  };
  wear(themes.includes(localStorage.getItem('umbral-theme')) ? localStorage.getItem('umbral-theme') : 'auto');
  $('theme').addEventListener('click', () => wear(themes[(themes.indexOf(localStorage.getItem('umbral-theme')) + 1) % 3]));
  refresh();
  setInterval(() => { if (!document.hidden) refresh(); }, 5000);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
}

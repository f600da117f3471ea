// What can be done: watch, purge, revoke, explain, reload, sign out.

const live = { rows: [], queue: [], paused: false, seen: 0, source: null };

function startLive() {
  const body = document.querySelector('#live tbody'), box = body.closest('.scroll');
  const row = d => {
    if (d.note) return h('tr', { class: 'note' }, h('td', { colspan: 7 }, d.note));
    return h('tr', { title: [d.reason, d.tier, d.user && 'user ' + d.user, d.id].filter(Boolean).join(' · ') },
      h('td', { class: 'dim' }, say.clock(d.time)), h('td', {}, h('span', { class: 'v ' + d.verdict }, d.verdict)), h('td', {}, String(d.status)), h('td', { class: 'dim' }, d.method),
      h('td', { class: 'path', on: { click: () => explain('http://' + d.host + d.path) } }, d.path), h('td', { class: 'dim' }, d.reason || d.tier || ''), h('td', { class: 'num' }, say.ms(d.ms)));
  };
  const paint = () => {
    if (live.queue.length && !live.paused && !document.hidden) {
      const fresh = live.queue.splice(0).slice(-80).reverse().map(row);
      body.prepend(...fresh);
      while (body.children.length > 80) body.lastChild.remove();
    }
    if (live.queue.length > 500) live.queue.splice(0, live.queue.length - 80);
  };
  setInterval(paint, 200);
  setInterval(() => { $('live-sub').textContent = live.paused ? 'paused' : live.source.readyState === 1 ? `${say.count(live.seen)} /s` : 'connecting…'; live.seen = 0; }, 1000);

  const open = () => {
    live.source?.close();
    const q = new URLSearchParams();
    if ($('live-verdict').value) q.set('verdict', $('live-verdict').value);
    if ($('live-path').value.trim()) q.set('path', $('live-path').value.trim());
    live.source = new EventSource('/v1/events?' + q);
    const on = (type, f) => live.source.addEventListener(type, e => f(JSON.parse(e.data)));
    on('request', e => { live.seen++; live.queue.push(e); });
    on('missed', e => { live.seen += e.events; });
    on('purge', () => { showPurges(); });
    on('reload', e => { live.queue.push({ note: `${say.clock(e.time)} · ${e.ok ? 'rules read again' : 'a reload met faults; nothing has changed'}` }); refresh(); });
    on('state', e => { live.queue.push({ note: `${say.clock(e.time)} · ${Object.entries(e).filter(([k]) => k !== 'time').map(([k, v]) => `${k}: ${v}`).join(', ')}` }); refresh(); });
  };
  const anew = () => { body.replaceChildren(); live.queue.length = 0; open(); };
  $('live-verdict').addEventListener('change', anew);
  $('live-path').addEventListener('change', anew);
  $('live-pause').addEventListener('click', () => { live.paused = !live.paused; $('live-pause').textContent = live.paused ? 'Resume' : 'Pause'; box.scrollTop = 0; });
  open();
}

const purge = { kind: 'urls', hints: { urls: 'https://example.org/path, or /path for every host', prefixes: '/certificados/', tags: 'certificado:7', users: 'user id', sessions: 'session id', all: 'everything that is stored, on every edge' } };

function said(x) {
  return Object.entries(x).filter(([k]) => k !== 'soft').map(([k, v]) => k === 'all' ? 'everything' : k + ' ' + v).join(' ') + (x.soft ? ' (soft)' : '');
}

function startPurge() {
  const what = $('purge-what'), go = $('purge-go');
  const unsure = () => { go.classList.remove('sure'); go.textContent = 'Purge'; };
  const choose = kind => { purge.kind = kind; what.placeholder = purge.hints[kind]; what.disabled = kind === 'all'; unsure(); };
  press($('purge-kind'), 'kind', choose);
  choose('urls');
  const run = async dry => {
    const body = { soft: $('purge-soft').checked, refresh: $('purge-refresh').checked && !dry, dry_run: dry };
    if ($('purge-wait').checked && !dry) body.wait = '2s';
    if (purge.kind === 'all') body.all = true;
    else body[purge.kind] = what.value.split('\n').map(l => l.trim()).filter(Boolean);
    // Everything at once asks twice.
    if (purge.kind === 'all' && !dry && !body.soft && !go.classList.contains('sure')) { go.classList.add('sure'); go.textContent = 'Really everything?'; return; }
    unsure();
    go.disabled = $('purge-dry').disabled = true;
    try { showReceipt(await call('POST', '/v1/purge', body)); } catch (err) { $('receipt').replaceChildren(h('div', { class: 'receipt bad' }, err.message)); }
    go.disabled = $('purge-dry').disabled = false;
    showPurges();
  };
  $('purge-form').addEventListener('submit', e => { e.preventDefault(); run(false); });
  $('purge-dry').addEventListener('click', () => run(true));
  what.addEventListener('keydown', e => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) run(false); });
  showPurges();
}

function showReceipt(r) {
  const n = r.matched.memory, pages = `${say.count(n)} ${n === 1 ? 'page' : 'pages'} in this edge's memory`;
  $('receipt').replaceChildren(h('div', { class: 'receipt' },
    r.dry_run ? h('span', {}, 'Would hit ', h('b', {}, pages), '; nothing was purged.') : h('span', {}, h('b', {}, r.complete ? 'Purged on every edge' : 'Purged here; not every edge has answered yet'), ` · ${pages}`),
    h('div', { class: 'acks' }, ...r.edges.map(e => h('span', {}, h('span', { class: e.applied ? 'yes' : 'no' }, e.applied ? '✓ ' : '… '), e.id + (e.applied ? ' ' + say.ms(e.ms) : ''))), r.refresh ? h('span', {}, 'fetching again: ' + r.refresh) : '', h('span', {}, r.id))));
}

async function showPurges() {
  try {
    const { purges } = await call('GET', '/v1/purges?limit=20');
    $('purges').replaceChildren(...purges.map(p => h('li', { title: `${p.who} from ${p.from} ${p.agent || ''}` },
      h('time', {}, say.clock(p.at)), h('span', { class: 'what' }, (p.action === 'revoke' ? 'revoke ' : '') + p.selectors.map(said).join(', ')),
      h('span', { class: p.failed ? 'no' : 'dim' }, p.failed ? 'failed' : p.who))));
    if (!purges.length) $('purges').replaceChildren(h('li', { class: 'empty' }, 'Nothing yet.'));
  } catch (err) { $('purges').replaceChildren(h('li', { class: 'empty' }, err.message)); }
}

function startSessions() {
  let user = '';
  const box = $('sessions'), out = $('sessions-out');
  const list = async () => {
    try {
      const { sessions } = await call('GET', '/v1/sessions?limit=50' + (user ? '&user=' + encodeURIComponent(user) : ''));
      out.hidden = !user || !sessions.length;
      if (!sessions.length) { box.replaceChildren(h('p', { class: 'empty' }, user ? `No session of ${user}.` : 'No session.')); return; }
      box.replaceChildren(h('div', { class: 'scroll' }, h('table', {}, h('tbody', {}, ...sessions.map(x => h('tr', {},
        h('td', {}, h('b', {}, x.user || h('span', { class: 'dim' }, x.auth)), h('div', { class: 'dim mono', title: x.id }, x.id.slice(0, 12))),
        h('td', { class: 'dim' }, 'since ', say.span(Date.now() - Date.parse(x.signed_in_at || x.created))),
        h('td', { class: 'num' }, h('button', { class: 'tiny danger', on: { click: () => revoke('/v1/sessions/' + encodeURIComponent(x.id)) } }, 'Revoke'))))))));
    } catch (err) { box.replaceChildren(h('p', { class: 'empty' }, err.problem?.status === 501 ? 'Name a user to see the sessions.' : err.message)); }
  };
  const revoke = async path => {
    try {
      const r = await call('DELETE', path);
      await list();
      box.prepend(h('div', { class: 'receipt' }, `${r.revoked} ${r.revoked === 1 ? 'session' : 'sessions'} revoked`, r.complete ? ' on every edge.' : '; not every edge has answered yet.'));
    } catch (err) { box.prepend(h('div', { class: 'receipt bad' }, err.message)); }
    showPurges();
  };
  $('sessions-form').addEventListener('submit', e => { e.preventDefault(); user = $('sessions-user').value.trim(); list(); });
  out.addEventListener('click', () => revoke('/v1/users/' + encodeURIComponent(user) + '/sessions'));
  list();
}

function stored(t) {
  if (t.error || !t.found) return t.error || 'nothing';
  return [t.status, `age ${t.age} s`, `ttl ${t.ttl} s`, say.bytes(t.size || 0), t.life, t.vary?.length ? 'vary ' + t.vary.join(', ') : ''].filter(Boolean).join(' · ');
}

async function explain(url) {
  if (url) { $('explain-url').value = url; $('explain-form').scrollIntoView({ behavior: 'smooth', block: 'center' }); }
  const q = new URLSearchParams({ url: $('explain-url').value.trim() });
  if ($('explain-user').value.trim()) q.set('user', $('explain-user').value.trim());
  try {
    const x = await call('GET', '/v1/explain?' + q);
    $('explained').replaceChildren(h('div', { class: 'cols' },
      h('div', {}, h('h3', {}, 'Verdict'), h('dl', {}, ...rows([['would', x.verdict], ['because', x.reason], ['route', x.route || 'not listed'], ['ttl', x.ttl], ['whose', x.scope], ['tags', x.tags.join(', ')]]))),
      h('div', {}, h('h3', {}, 'Key'), h('dl', {}, ...rows(x.key_parts.map(p => [p.name, p.value])))),
      h('div', {}, h('h3', {}, 'Stored'), h('dl', {}, ...rows(x.tiers.map(t => [t.tier, stored(t)]))),
        h('p', { class: 'mono dim' }, x.cache_status), ...(x.notes || []).map(n => h('p', { class: 'dim' }, n)))));
  } catch (err) { $('explained').replaceChildren(h('div', { class: 'receipt bad' }, err.message)); }
}

function startTop() {
  $('explain-form').addEventListener('submit', e => { e.preventDefault(); explain(); });
  $('reload').addEventListener('click', async () => {
    $('reload').disabled = true;
    try {
      const r = await call('POST', '/v1/reload');
      await refresh();
      $('banners').prepend(h('div', { class: 'banner good' }, `The rules were read again: ${r.routes} routes in force.`));
    } catch (err) {
      await refresh();
      if (!$('banners').children.length) $('banners').prepend(err.problem?.faults ? faults(err.message, err.problem.faults) : h('div', { class: 'banner' }, err.message));
    }
    $('reload').disabled = false;
  });
  $('signout').addEventListener('click', async () => { live.source.close(); await call('POST', '/logout').catch(() => {}); location.reload(); });
}

if (document.body.dataset.view === 'app') {
  startFigures();
  startLive();
  startPurge();
  startSessions();
  startTop();
}

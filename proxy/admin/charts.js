'use strict';
// Nothing here makes HTML out of text: every node is built, every string is a
// text node.

const $ = id => document.getElementById(id);

function h(tag, attrs, ...children) {
  const el = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (k === 'on') for (const [type, f] of Object.entries(v)) el.addEventListener(type, f);
    else if (k === 'width') el.style.width = v;
    else if (v !== undefined && v !== null && v !== false) el.setAttribute(k, v === true ? '' : v);
  }
  el.append(...children.filter(c => c !== undefined && c !== null && c !== false));
  return el;
}

function s(tag, attrs, text) {
  const el = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [k, v] of Object.entries(attrs || {})) el.setAttribute(k, v);
  if (text !== undefined) el.textContent = text;
  return el;
}

// How figures are said.
const say = {
  count(n) {
    if (n < 1e4) return Math.round(n).toLocaleString('en');
    for (const [at, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) if (n >= at) return (n / at).toFixed(n / at < 10 ? 2 : n / at < 100 ? 1 : 0) + ' ' + unit;
  },
  rate(n) { return n < 10 ? n.toFixed(1) : say.count(n); },
  bytes(n) {
    let i = 0;
    for (; n >= 1024 && i < 4; i++) n /= 1024;
    return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][i];
  },
  ms(n) {
    if (n >= 1000) return (n / 1000).toFixed(n < 10000 ? 2 : 1) + ' s';
    if (n >= 1) return (n < 10 ? n.toFixed(1) : Math.round(n)) + ' ms';
    return n === 0 ? '0 ms' : Math.max(1, Math.round(n * 1000)) + ' µs';
  },
  percent(x) { return x === null ? '–' : (x >= .9995 || x === 0 ? Math.round(x * 100) : (x * 100).toFixed(1)) + '%'; },
  clock(t) { return new Date(t).toLocaleTimeString('en-GB'); },
  span(ms) {
    const secs = Math.max(0, Math.round(ms / 1000));
    if (secs < 60) return secs + ' s';
    if (secs < 3600) return Math.floor(secs / 60) + ' min';
    if (secs < 86400) return Math.floor(secs / 3600) + ' h ' + Math.floor(secs % 3600 / 60) + ' min';
    return Math.floor(secs / 86400) + ' d ' + Math.floor(secs % 86400 / 3600) + ' h';
  },
};

// ceiling is the next round number: 1, 2, 2.5, 5 times a power of ten.
function ceiling(x) {
  if (!(x > 0)) return 1;
  const p = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 2.5, 5, 10].find(m => m * p >= x) * p;
}

// chart draws series over points, newest at the right. A series has a name,
// of(point) → number or null, which leaves a gap, a colour, text(value), and
// max, or none: then all such series share the axis that is labelled. With
// log the axis goes by powers of ten, so that a p50 of 90 µs can be seen below
// a p99 of 90 ms. A series aside has a scale of its own, without labels.
function chart(box, series, log) {
  let points = [], from = 0, to = 1;
  const svg = s('svg', { role: 'img' });
  const empty = h('div', { class: 'empty' }, 'Collecting…');
  const tip = h('div', { class: 'tip', hidden: true });
  const cross = s('line', { class: 'cross', visibility: 'hidden' });
  const left = 46, right = 10, top = 8, bottom = 20;
  box.append(svg, empty, tip);

  const scale = () => {
    const w = box.clientWidth, hgt = box.clientHeight;
    return { w, hgt, x: t => left + (t - from) / (to - from) * (w - left - right), y: v => top + (1 - v) * (hgt - top - bottom) };
  };

  function draw() {
    const { w, hgt, x, y } = scale();
    if (!w) return;
    empty.hidden = points.length > 1;
    svg.setAttribute('viewBox', `0 0 ${w} ${hgt}`);
    svg.replaceChildren();
    const own = series.filter(q => !q.aside);
    const values = points.flatMap(p => own.map(q => q.of(p))).filter(v => v > 0);
    let limit = own[0].max || ceiling(Math.max(...values)), low = 0;
    if (log) [low, limit] = values.length ? [Math.floor(Math.log10(Math.min(...values))), Math.floor(Math.log10(Math.max(...values))) + 1] : [0, 1];
    const share = v => log ? v > 0 ? (Math.log10(v) - low) / (limit - low) : 0 : v / limit;
    const marks = log ? Array.from({ length: limit - low + 1 }, (_, i) => i / (limit - low)) : [0, .25, .5, .75, 1];
    marks.forEach((f, i) => {
      svg.append(s('line', { class: 'grid', x1: left, x2: w - right, y1: y(f), y2: y(f) }));
      if (log || i % 2 === 0) svg.append(s('text', { x: left - 8, y: y(f) + 4, 'text-anchor': 'end' }, own[0].text(log ? 10 ** (low + i) : limit * f).replace(/\.0+(?!\d)/, '')));
    });
    const ticks = Math.max(2, Math.min(6, Math.floor(w / 130)));
    for (let i = 0; i < ticks; i++) {
      const t = from + (to - from) * (i + .5) / ticks;
      svg.append(s('text', { x: x(t), y: hgt - 3, 'text-anchor': 'middle' }, say.clock(t).slice(0, to - from < 600000 ? 8 : 5)));
    }
    for (const q of series) {
      const peak = q.aside ? ceiling(Math.max(...points.map(p => q.of(p) || 0))) * (q.room || 1) : 0;
      let d = '', area = '', open = null, last = 0;
      const shut = () => { if (open !== null) area += `L${last},${y(0)}L${open},${y(0)}Z`; open = null; };
      for (const p of points) {
        const v = q.of(p);
        if (v === null) { shut(); continue; }
        const px = x(p.t).toFixed(1), py = y(Math.max(0, Math.min(1, q.aside ? v / peak : share(v)))).toFixed(1);
        const step = (open === null ? 'M' : 'L') + px + ',' + py;
        d += step;
        area += step;
        if (open === null) open = px;
        last = px;
      }
      shut();
      if (q.fill) svg.append(s('path', { d: area, fill: `var(${q.colour})`, 'fill-opacity': q.fill, stroke: 'none' }));
      svg.append(s('path', { class: 'line', d, stroke: `var(${q.colour})` }));
    }
    svg.append(cross);
  }

  box.addEventListener('pointermove', e => {
    const { w, hgt, x, y } = scale();
    if (points.length < 2) return;
    const at = from + (e.clientX - box.getBoundingClientRect().left - left) / (w - left - right) * (to - from);
    const p = points.reduce((a, b) => Math.abs(b.t - at) < Math.abs(a.t - at) ? b : a);
    for (const [k, v] of Object.entries({ x1: x(p.t), x2: x(p.t), y1: y(1), y2: y(0), visibility: 'visible' })) cross.setAttribute(k, v);
    tip.replaceChildren(h('span', {}, say.clock(p.t)));
    for (const q of series) tip.append(h('span', {}, ' · ' + q.name + ' '), h('b', {}, q.of(p) === null ? '–' : q.text(q.of(p))));
    tip.hidden = false;
    tip.style.left = Math.max(left, Math.min(w - tip.offsetWidth - right, x(p.t) - tip.offsetWidth / 2)) + 'px';
  });
  box.addEventListener('pointerleave', () => { tip.hidden = true; cross.setAttribute('visibility', 'hidden'); });
  new ResizeObserver(draw).observe(box);
  return (list, since, until) => { points = list; from = since; to = until; draw(); };
}

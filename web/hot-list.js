// The hot list of a day, asked for again every second. Text is only ever set as text: titles come from users.
const pollMs = 1000;
const form = document.querySelector('#filter');
const freshness = document.querySelector('#freshness');
const body = document.querySelector('#items');
const empty = document.querySelector('#empty');

/** Score of each article as last shown, to mark what changed. */
let shownScores = new Map();
let poll = 0;

form.addEventListener('submit', (event) => event.preventDefault());
form.addEventListener('input', () => {
  shownScores = new Map();
  if (form.checkValidity()) refresh();
});
refresh();

async function refresh() {
  clearTimeout(poll);
  const query = new URLSearchParams({ limit: '20' });
  for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
  try {
    const response = await fetch(`/v1/hot-articles?${query}`, { signal: AbortSignal.timeout(5000) });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error?.message ?? `the server answered ${response.status}`);
    show(answer);
  } catch (error) {
    say('lost', `No answer (${error.message}); what you see is what was there last.`);
  }
  clearTimeout(poll);
  poll = setTimeout(refresh, pollMs);
}

function show({ items, asOf, syncing, lagMs }) {
  body.replaceChildren(...items.map(rowOf));
  empty.hidden = items.length > 0;
  shownScores = new Map(items.map((item) => [item.articleId, item.score]));
  const time = new Date(asOf).toLocaleTimeString();
  const behind = lagMs === null ? 'unknown' : `${(lagMs / 1000).toFixed(1)} s behind`;
  say(syncing ? 'syncing' : 'live', syncing ? `Syncing (${behind}), as of ${time}` : `Live, as of ${time}`);
}

function rowOf(item) {
  const row = document.createElement('tr');
  const before = shownScores.get(item.articleId);
  if (shownScores.size > 0 && before !== item.score) {
    row.className = 'changed';
    requestAnimationFrame(() => requestAnimationFrame(() => row.classList.remove('changed')));
  }
  for (const [value, className] of [
    [item.rank],
    [item.title, 'title'],
    [item.score],
    [item.likes],
    [item.comments],
    [item.views],
  ]) {
    const cell = row.insertCell();
    cell.textContent = value;
    if (className) cell.className = className;
  }
  return row;
}

function say(state, text) {
  freshness.dataset.state = state;
  freshness.textContent = text;
}

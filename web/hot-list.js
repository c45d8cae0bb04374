import { inWords } from './explanation.js';

// A hot list, asked for again every second. Text is only ever set as text: titles come from users.
const pollMs = 1000;
/** For how long a row shows that its rank has changed. */
const moveShownMs = 10_000;
const form = document.querySelector('#filter');
const freshness = document.querySelector('#freshness');
const body = document.querySelector('#items');
const empty = document.querySelector('#empty');
const problem = document.querySelector('#problem');
const dateField = document.querySelector('#date');

/** What is shown of each article, by id; null before the first answer to what is asked now. */
let shown = null;
/** Articles whose explanation is open. */
const open = new Set();
let asked = 0;
let poll = 0;

form.addEventListener('submit', (event) => event.preventDefault());
form.addEventListener('input', () => {
  shown = null;
  dateField.hidden = new FormData(form).get('window') !== '';
  refresh();
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) refresh();
});
refresh();

async function refresh() {
  clearTimeout(poll);
  const turn = ++asked;
  if (!form.checkValidity()) return tell('A board is a number.');
  try {
    const response = await fetch(`/v1/hot-articles?${query()}`, { signal: AbortSignal.timeout(5000) });
    const answer = await response.json();
    if (turn !== asked) return; // the list that is asked for is another one by now
    if (response.status === 400) {
      const details = answer.error.details ?? [];
      return tell(
        details.map(({ field, allowed }) => `${field}: allowed is ${allowed}`).join('; ') || answer.error.message,
      );
    }
    if (!response.ok) throw new Error(answer.error?.message ?? `the server answered ${response.status}`);
    tell('');
    show(answer);
  } catch (error) {
    if (turn !== asked) return;
    const reason = error instanceof TypeError ? 'the board can not be reached' : error.message;
    say('lost', `No answer (${reason}); trying again`);
    body.classList.add('old');
  }
  // a page that nobody looks at asks for nothing
  if (!document.hidden) poll = setTimeout(refresh, pollMs);
}

function query() {
  const fields = new FormData(form);
  if (fields.get('window') !== '') fields.delete('date');
  const asked = new URLSearchParams({ limit: '20', explain: '1' });
  for (const [name, value] of fields) if (value) asked.set(name, value);
  return asked;
}

function show({ items, asOf, syncing, lagMs }) {
  const before = shown ?? new Map();
  const rows = new Map();
  for (const item of items) rows.set(item.articleId, rowOf(item, before.get(item.articleId)));
  place(items.flatMap(({ articleId }) => [rows.get(articleId).row, rows.get(articleId).why]));
  shown = rows;
  body.classList.remove('old');
  empty.hidden = items.length > 0;
  empty.textContent =
    new FormData(form).get('window') === '' ? 'No articles on this day.' : 'No articles in this time.';
  const time = new Date(asOf).toLocaleTimeString();
  const behind = lagMs === null ? 'how far behind is not known' : `${(lagMs / 1000).toFixed(1)} s behind`;
  say(syncing ? 'syncing' : 'live', syncing ? `Syncing: ${behind}, as of ${time}` : `Live, as of ${time}`);
}

/** Puts the rows in this order; what has the focus keeps it, also where its row moves. */
function place(wanted) {
  const focused = document.activeElement;
  for (const old of [...body.children]) if (!wanted.includes(old)) old.remove();
  for (const [index, element] of wanted.entries()) {
    if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
  }
  if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
}

/** The rows of an article, made or brought up to date. */
function rowOf(item, before) {
  const parts = before ?? made(item);
  const { cells, row } = parts;
  const moved = before === undefined ? (shown === null ? 0 : null) : before.rank - item.rank;
  if (moved !== 0) {
    parts.move = moved;
    parts.movedAtMs = performance.now();
  }
  const recent = performance.now() - parts.movedAtMs < moveShownMs;
  cells.rank.textContent = item.rank;
  cells.move.textContent = recent ? moveText(parts.move) : '';
  cells.move.className = `move ${parts.move === null || parts.move > 0 ? 'up' : 'down'}`;
  cells.title.textContent = item.title;
  cells.score.textContent = scoreText(item.score);
  cells.likes.textContent = item.likes;
  cells.comments.textContent = item.comments;
  cells.views.textContent = item.views;
  cells.explanation.textContent = inWords(item);
  const points = item.explanation.points;
  if (before ? parts.points !== points : shown !== null) {
    row.className = 'changed';
    requestAnimationFrame(() => requestAnimationFrame(() => row.classList.remove('changed')));
  }
  return Object.assign(parts, { points, rank: item.rank });
}

function made({ articleId }) {
  const row = document.createElement('tr');
  const why = document.createElement('tr');
  const cell = (className = '') => Object.assign(row.insertCell(), { className });
  const rankCell = cell('rank');
  const move = document.createElement('span');
  const rank = document.createElement('span');
  rankCell.append(move, rank);
  const title = cell('title');
  const score = document.createElement('button');
  score.type = 'button';
  score.title = 'What is it made of?';
  const scoreCell = cell();
  scoreCell.append(score);
  const explanation = why.insertCell();
  explanation.colSpan = 6;
  why.className = 'why';
  const showWhy = () => {
    why.hidden = !open.has(articleId);
    score.setAttribute('aria-expanded', String(!why.hidden));
  };
  score.addEventListener('click', () => {
    if (!open.delete(articleId)) open.add(articleId);
    showWhy();
  });
  showWhy();
  const cells = { rank, move, title, score, likes: cell(), comments: cell(), views: cell(), explanation };
  return { row, why, cells, move: 0, movedAtMs: Number.NEGATIVE_INFINITY };
}

function moveText(move) {
  if (move === null) return 'new';
  return move > 0 ? `▲${move}` : `▼${-move}`;
}

function scoreText(score) {
  return Number.isInteger(score) ? score : score.toFixed(Math.abs(score) < 1 ? 4 : 2);
}

function tell(text) {
  problem.hidden = text === '';
  problem.textContent = text;
  if (text === '') return;
  say('lost', 'What is asked for does not exist');
  body.classList.add('old');
}

function say(state, text) {
  if (freshness.textContent === text) return;
  freshness.dataset.state = state;
  freshness.textContent = text;
}

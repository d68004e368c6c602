// The chat: what is said streams in, calls show themselves, and what changes something waits for a yes.
import { ask, element, form, outcome } from '/console/assets/console.js';

const talk = document.getElementById('talk');
const say = document.getElementById('say');
const text = document.getElementById('text');
const send = document.getElementById('send');
const stopButton = document.getElementById('stop');
const status = document.getElementById('status');

let stop = null;
let answer = null; // the article that is being written
let saying = null; // the text in it that grows

const words = { waiting: 'waits for you', declined: 'declined', unknown: 'no such tool', done: 'done', allowed: 'running' };

function article(kind, title) {
  const node = element('article', { class: `said ${kind}` }, element('h2', { class: 'unseen' }, title));
  document.getElementById('beginning')?.remove();
  talk.append(node);
  return node;
}

function follow() { say.scrollIntoView({ block: 'end' }); }

function model() {
  if (!answer) {
    answer = article('model', 'Answer');
    saying = null;
  }
  return answer;
}

function toolCall(id) { return [...talk.querySelectorAll('.tool-call')].findLast((node) => node.dataset.call === id); }

function setState(node, state, failed, took) {
  const shown = node.querySelector('.state');
  shown.className = `state ${state}`;
  shown.textContent = state === 'done' ? (failed ? 'failed' : `done${took ? ` in ${took}` : ''}`) : words[state];
}

function showCall(data) {
  const node = element('div', { class: 'tool-call', 'data-call': data.id },
    element('p', { class: 'tool-head' }, element('code', {}, data.tool), element('span', { class: 'quiet' }, data.server), element('span', { class: 'state' })),
    element('details', {}, element('summary', {}, 'Arguments'), element('pre', { tabIndex: 0 }, data.arguments)));
  setState(node, data.state);
  if (data.state === 'waiting') {
    const allow = element('button', { type: 'button', class: 'primary', 'data-verdict': 'allow' }, 'Allow');
    node.append(element('div', { class: 'decide' }, element('p', {}, 'This may change something. Do it?'), allow,
      element('button', { type: 'button', 'data-verdict': 'deny' }, 'Don\u2019t')));
    status.textContent = `${data.tool} waits for your decision`;
  }
  model().append(node);
  saying = null;
}

function showResult(data) {
  const node = toolCall(data.id);
  if (!node) return;
  node.querySelector('.decide')?.remove();
  node.querySelector('progress')?.remove();
  setState(node, data.state, data.outcome.failed, data.outcome.took);
  node.append(element('details', { class: 'outcome-details' }, element('summary', {}, 'Result'), outcome(data.outcome)));
  answer = null; // what is said next is an answer of its own
}

function hear(name, data) {
  if (name === 'delta') {
    const into = model();
    if (!saying) {
      saying = element('div', { class: 'text' });
      into.append(saying);
    }
    saying.append(data.text);
  } else if (name === 'call') {
    showCall(data);
  } else if (name === 'result') {
    showResult(data);
  } else if (name === 'progress') {
    const node = toolCall(data.id);
    let bar = node?.querySelector('progress');
    if (node && !bar) {
      bar = element('progress', { ariaLabel: 'Progress' });
      node.append(bar);
    }
    if (bar && data.total) {
      bar.max = data.total;
      bar.value = data.progress;
    }
  } else if (name === 'problem') {
    talk.append(element('div', { class: 'note bad' }, element('strong', {}, data.title), element('p', {}, `${data.text} ${data.remedy || ''}`)));
  }
  follow();
}

async function converse(address, fields) {
  stop = new AbortController();
  send.disabled = true;
  stopButton.hidden = false;
  status.textContent = 'Answering';
  answer = null;
  saying = null;
  try {
    const problem = await ask(address, fields, stop.signal, hear);
    if (problem?.title) hear('problem', problem);
  } catch (failure) {
    if (failure.name === 'AbortError') model().append(element('p', { class: 'quiet' }, 'Stopped by you.'));
    else hear('problem', { title: 'The connection broke', text: 'What was said until then is kept.', remedy: 'Load the page again.' });
  }
  send.disabled = false;
  stopButton.hidden = true;
  if (status.textContent === 'Answering') status.textContent = 'Answered';
  text.focus();
}

say.addEventListener('submit', (event) => {
  event.preventDefault();
  if (!text.value.trim() || send.disabled) return;
  const fields = form(say);
  article('person', 'You').append(element('div', { class: 'text' }, text.value.trim()));
  for (const node of talk.querySelectorAll('.decide')) {
    setState(node.closest('.tool-call'), 'declined');
    node.remove();
  }
  text.value = '';
  converse(say.action, fields);
});

text.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    say.requestSubmit();
  }
});

stopButton.addEventListener('click', () => stop?.abort());

talk.addEventListener('click', (event) => {
  const idea = event.target.closest('.idea');
  if (idea) {
    text.value = idea.textContent;
    say.requestSubmit();
    return;
  }
  const button = event.target.closest('[data-verdict]');
  if (!button || send.disabled) return;
  const node = button.closest('.tool-call');
  const fields = new URLSearchParams({ form: new FormData(say).get('form'), call: node.dataset.call, verdict: button.dataset.verdict });
  for (const other of node.querySelectorAll('[data-verdict]')) other.disabled = true;
  if (button.dataset.verdict === 'allow') setState(node, 'allowed');
  converse('/console/chat/decide', fields);
});

talk.lastElementChild?.scrollIntoView({ block: 'end' });

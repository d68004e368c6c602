// The page of a tool: lists that grow, and calls that show how far they are.
import { ask, element, form, outcome } from '/console/assets/console.js';

const call = document.getElementById('call');
const send = call.querySelector('button[type=submit]');
const cancel = document.getElementById('cancel');
const running = document.getElementById('running');
const result = document.getElementById('result');
const log = document.getElementById('log');
const mistakes = document.getElementById('mistakes');

for (const entries of call.querySelectorAll('.entries')) {
  let next = 1;
  const add = element('button', { type: 'button', class: 'small' }, 'Add another');
  add.addEventListener('click', () => {
    const copy = entries.querySelector('template').content.cloneNode(true);
    for (const node of copy.querySelectorAll('[name], [id], [for]')) {
      for (const attribute of ['name', 'id', 'for', 'aria-describedby']) {
        const value = node.getAttribute(attribute);
        if (value) node.setAttribute(attribute, value.replace('.#.', `.${next}.`));
      }
    }
    next += 1;
    const entry = element('div', { class: 'entry' }, copy);
    entries.querySelector('.list').append(entry);
    entry.querySelector('input, select, textarea')?.focus();
  });
  entries.append(add);
}

let stop = null;
cancel.addEventListener('click', () => stop?.abort());

function hear(name, data) {
  if (name === 'progress') {
    const bar = running.querySelector('progress');
    if (data.total) {
      bar.max = data.total;
      bar.value = data.progress;
    }
    document.getElementById('progress-text').textContent = data.message || (data.total ? `${data.progress} of ${data.total}` : `${data.progress}`);
  } else if (name === 'log') {
    log.append(element('li', {}, `${data.level}: ${data.text}`));
  } else if (name === 'result') {
    result.replaceChildren(outcome(data));
  }
}

call.addEventListener('submit', async (event) => {
  event.preventDefault();
  stop = new AbortController();
  mistakes.replaceChildren();
  log.replaceChildren();
  running.querySelector('progress').removeAttribute('value');
  document.getElementById('progress-text').textContent = 'Running';
  running.hidden = false;
  cancel.hidden = false;
  send.disabled = true;
  try {
    const answer = await ask(call.action, form(call), stop.signal, hear);
    if (answer?.mistakes) {
      mistakes.append(element('div', { class: 'note bad' }, element('strong', {}, 'Not called yet'), ...answer.mistakes.map((m) => element('p', {}, m.text))));
      document.getElementById(answer.mistakes[0].field)?.focus();
    } else if (answer) {
      result.replaceChildren(element('div', { class: 'note bad' }, element('strong', {}, answer.title || 'It failed'), element('p', {}, answer.text || '')));
    }
  } catch (failure) {
    const text = failure.name === 'AbortError' ? 'You cancelled the call.' : 'The connection broke. Try again.';
    result.replaceChildren(element('div', { class: 'note warn' }, element('p', {}, text)));
  }
  running.hidden = true;
  cancel.hidden = true;
  send.disabled = false;
});

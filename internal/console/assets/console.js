// What every page of the console needs: copying a line, closing the account menu, and times that stay true.

for (const button of document.querySelectorAll('button[data-copy]')) {
  button.addEventListener('click', async () => {
    const label = button.lastChild;
    const before = label.textContent;
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      label.textContent = 'Copied';
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(button.dataset.copy));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      label.textContent = 'Press Ctrl+C';
    }
    setTimeout(() => { label.textContent = before; }, 2000);
  });
}

const account = document.querySelector('.account');
if (account) {
  document.addEventListener('click', (event) => {
    if (!account.contains(event.target)) account.open = false;
  });
  account.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      account.open = false;
      account.querySelector('summary').focus();
    }
  });
}

document.querySelector('.side [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });

// element makes a node. Text is only ever text: nothing here makes markup of what somebody wrote.
export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === 'class') node.className = value;
    else if (key.startsWith('data-')) node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// outcome shows what came of a call.
export function outcome(result) {
  const node = element('div', { class: result.failed ? 'outcome failed' : 'outcome' },
    element('p', { class: 'outcome-head' },
      element('span', { class: result.failed ? 'verdict bad' : 'verdict good' }, result.failed ? 'failed' : 'done'),
      element('span', { class: 'quiet' }, result.took || '')));
  for (const text of [result.text, result.structured]) {
    if (text) node.append(element('pre', { tabIndex: 0 }, text));
  }
  for (const text of result.other || []) node.append(element('p', { class: 'quiet' }, text));
  return node;
}

// ask posts a form and hears the events of the answer, one by one. What is no stream of events is returned as JSON.
export async function ask(address, fields, signal, hear) {
  const response = await fetch(address, {
    method: 'POST', body: fields, signal, headers: { 'X-Genkan-Form': fields.get('form'), Accept: 'text/event-stream' },
  });
  if (!(response.headers.get('Content-Type') || '').startsWith('text/event-stream')) {
    const answer = await response.json();
    if (answer.sign_in) location.assign(answer.sign_in);
    return answer;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return null;
    waiting += value;
    const blocks = waiting.split('\n\n');
    waiting = blocks.pop();
    for (const block of blocks) {
      let name = 'message';
      let data = '';
      for (const line of block.split('\n')) {
        if (line.startsWith('event: ')) name = line.slice(7);
        if (line.startsWith('data: ')) data += line.slice(6);
      }
      if (data) hear(name, JSON.parse(data));
    }
  }
}

// form encodes a form as servers without a multipart reader like it.
export function form(node) { return new URLSearchParams(new FormData(node)); }

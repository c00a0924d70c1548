// A small shop as sites have them: login with a session, a cart in a cookie, forms behind a CSRF token,
// pages that stream, events and a websocket. Prints its port.
import http from 'node:http';
import crypto from 'node:crypto';

const sessions = new Map();
const tracker = '<script src="https://cdn.aircall.io/c2c/v1/c2c.min.js"></script>';
const cookies = (req) => Object.fromEntries((req.headers.cookie ?? '').split(/; */).filter(Boolean).map((c) => c.split(/=(.*)/s)));
const page = (res, body, more = {}) => {
  res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'public, max-age=600', ...more });
  res.end(`<!DOCTYPE html><title>Shop</title>${tracker}${body}`);
};
const form = async (req) => {
  let text = '';
  for await (const chunk of req) text += chunk;
  return new URLSearchParams(text);
};

const server = http.createServer(async (req, res) => {
  const jar = cookies(req);
  const session = sessions.get(jar['wordpress_logged_in_1']);
  if (Object.keys(jar).some((name) => name.startsWith('_ga') || name === '_fbp')) {
    res.writeHead(500).end('a tracker\'s cookie came through');
    return;
  }
  const url = new URL(req.url, 'http://shop');
  switch (`${req.method} ${url.pathname}`) {
    case 'GET /login': {
      const csrf = crypto.randomUUID();
      page(res, `<form method=post><input name=csrf value="${csrf}"></form>`, { 'Set-Cookie': ['_ga=GA1.1.1.1; Path=/; Max-Age=63072000', `csrftoken=${csrf}; Path=/; HttpOnly`, '_fbp=fb.1.1.1; Path=/'] });
      return;
    }
    case 'POST /login': {
      const data = await form(req);
      if (!jar.csrftoken || data.get('csrf') !== jar.csrftoken) {
        res.writeHead(403).end('the form does not belong to this visitor');
        return;
      }
      const id = crypto.randomUUID();
      sessions.set(id, { user: data.get('user') });
      res.writeHead(302, { Location: '/account', 'Set-Cookie': [`wordpress_logged_in_1=${id}; Path=/; HttpOnly`, '_ga_ABC=GS1.1.1; Path=/'] }).end();
      return;
    }
    case 'GET /account':
      if (!session) {
        res.writeHead(302, { Location: '/login' }).end();
        return;
      }
      page(res, `<p>Hello ${session.user}</p>`);
      return;
    case 'POST /cart':
      res.writeHead(303, { Location: '/cart', 'Set-Cookie': `woocommerce_items_in_cart=${Number(jar.woocommerce_items_in_cart ?? 0) + 1}; Path=/` }).end();
      return;
    case 'GET /cart':
      page(res, `<p>${jar.woocommerce_items_in_cart ?? 0} items</p>`);
      return;
    case 'GET /stream':
      res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
      res.write(`<!DOCTYPE html><div id=shell>shell</div>${tracker}`);
      setTimeout(() => res.end('<template id=B:0><p>late</p></template>' + tracker), 300);
      return;
    case 'GET /events':
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.write('data: 1\n\n');
      setTimeout(() => res.end('data: 2\n\n'), 300);
      return;
    default:
      res.writeHead(404, { 'Content-Type': 'text/html' });
      res.end(`<title>None</title>${tracker}`);
  }
});

server.on('upgrade', (req, socket) => {
  const accept = crypto.createHash('sha1').update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSet-Cookie: _ga=1\r\n\r\n`);
  const seen = Buffer.from(req.headers.cookie ?? 'none');
  socket.write(Buffer.concat([Buffer.from(seen.length < 126 ? [0x81, seen.length] : [0x81, 126, seen.length >> 8, seen.length & 255]), seen]));
  socket.on('error', () => {});
  socket.end();
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));

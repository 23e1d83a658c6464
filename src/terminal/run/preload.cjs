'use strict';
// Loaded into every Node program under `remit run` (NODE_OPTIONS=--require). Node 20 knows no proxy variables at all, and
// with Node 24's NODE_USE_ENV_PROXY=1 programs that bring their own agents still go past the proxy. So HTTP is caught
// one level lower, where every client opens its connection: tls.connect and net.connect. What they return is a stream
// that first opens a CONNECT tunnel (RFC 9110 §9.3.6).
//
// It needs no package, changes nothing where HTTPS_PROXY is not set, and leaves alone: loopback, NO_PROXY, Unix sockets,
// connections that are given a socket of their own, and everything that is not HTTP (databases, mail).

const env = process.env;
const url = env.HTTPS_PROXY || env.https_proxy;
let proxy = null;
try {
  proxy = url ? new URL(url) : null;
} catch {
  // Not ours to judge: clients that read the variable themselves will say so.
}
if (proxy && proxy.protocol === 'http:') install();

function install() {
  const net = require('net');
  const tls = require('tls');
  const http = require('http');
  const https = require('https');
  const { Duplex } = require('stream');

  const proxyHost = bare(proxy.hostname);
  const proxyPort = Number(proxy.port || 80);
  const user = decodeURIComponent(proxy.username);
  const password = decodeURIComponent(proxy.password);
  const authorization =
    user || password
      ? `Proxy-Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}\r\n`
      : '';
  const exceptions = (env.NO_PROXY || env.no_proxy || '')
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  const netConnect = net.connect;
  const tlsConnect = tls.connect;
  // A proxy's answer to CONNECT has no reason to be longer; a longer one is not a proxy's.
  const HEAD_LIMIT_BYTES = 64 * 1024;

  function bare(host) {
    return String(host).replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '').toLowerCase();
  }

  function isLoopback(host) {
    return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || host === '0.0.0.0' ||
      host === '::' || /^(::ffff:)?127\./.test(host);
  }

  function isExcepted(host, port) {
    if (isLoopback(host) || (host === proxyHost && port === proxyPort)) return true;
    return exceptions.some((entry) => {
      if (entry === '*') return true;
      const named = /^(\[.*\]|[^:]+):(\d+)$/.exec(entry);
      if (named && Number(named[2]) !== port) return false;
      const name = bare(named ? named[1] : entry).replace(/^\*?\./, '');
      return host === name || host.endsWith(`.${name}`);
    });
  }

  /** Where the connection would go, if it should go through the proxy; else null. */
  function target(options, httpPort, isHttp) {
    if (!options || options.socket || options.path) return null;
    const host = bare(options.host || options.hostname || 'localhost');
    const port = Number(options.port || httpPort);
    if (!(isHttp || port === httpPort || speaksHttp(options)) || isExcepted(host, port)) return null;
    return { host, port };
  }

  /** What a connection offers, or what its maker says, tells HTTP from a database. */
  function speaksHttp(options) {
    if (options.protocol === 'http:' || options.protocol === 'https:') return true;
    // The fetch of Node itself (undici) names no protocol for plain HTTP, but nobody else asks in this way.
    if (options.highWaterMark === 65536 && 'localAddress' in options && 'path' in options) return true;
    const offered = options.ALPNProtocols;
    return Array.isArray(offered) && offered.some((name) => /^(h2|http\/1\.[01])$/.test(String(name)));
  }

  /** A stream to a host behind the proxy; it looks enough like a net.Socket for HTTP clients and for TLS. */
  class Tunnel extends Duplex {
    constructor({ host, port }, options) {
      super({ allowHalfOpen: true });
      this.connecting = true;
      this.pending = true;
      this._host = host;
      this.encrypted = false;
      this._waiting = [];
      const socket = netConnect({ host: proxyHost, port: proxyPort, allowHalfOpen: true });
      this._socket = socket;
      if (options && options.keepAlive) socket.setKeepAlive(true, options.keepAliveInitialDelay);
      if (options && options.timeout) this.setTimeout(options.timeout);
      const authority = net.isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
      socket.once('connect', () => {
        socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`);
      });
      socket.on('error', (error) => this.destroy(error));
      socket.on('close', () => this._closed());
      socket.on('timeout', () => this.emit('timeout'));
      this._readAnswer(authority);
      if (options && options.signal) this._abortWith(options.signal);
    }

    _abortWith(signal) {
      const abort = () => this.destroy(signal.reason);
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort, { once: true });
    }

    _readAnswer(authority) {
      const socket = this._socket;
      let head = Buffer.alloc(0);
      const onEnd = () => this.destroy(new Error(`the proxy closed the connection instead of opening a tunnel to ${authority}`));
      const onData = (chunk) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) {
          if (head.length > HEAD_LIMIT_BYTES) this.destroy(new Error('the proxy answered CONNECT with an endless head'));
          return;
        }
        socket.removeListener('data', onData);
        socket.removeListener('end', onEnd);
        socket.pause();
        const status = /^HTTP\/1\.[01] (\d{3})[^\r]*/.exec(head.toString('latin1', 0, end));
        if (!status || status[1][0] !== '2') {
          const why = status ? status[0] : 'something that is not HTTP';
          return this.destroy(new Error(`the proxy refused a tunnel to ${authority}: ${why}`));
        }
        this._open(head.subarray(end + 4));
      };
      socket.on('data', onData);
      socket.once('end', onEnd);
    }

    _open(early) {
      const socket = this._socket;
      this.connecting = false;
      this.pending = false;
      this._ready = true;
      if (early.length) this.push(early);
      socket.on('data', (chunk) => {
        if (!this.push(chunk)) socket.pause();
      });
      socket.once('end', () => this.push(null));
      if (this._wantsData) socket.resume();
      for (const go of this._waiting.splice(0)) go();
      this.emit('connect');
      this.emit('ready');
    }

    _closed() {
      if (!this._ready && !this.destroyed) this.destroy(new Error('the proxy closed the connection'));
      else this.destroy();
    }

    _whenReady(go) {
      if (this._ready) go();
      else this._waiting.push(go);
    }

    _read() {
      this._wantsData = true;
      if (this._ready) this._socket.resume();
    }

    _write(chunk, encoding, done) {
      this._whenReady(() => this._socket.write(chunk, encoding, done));
    }

    _writev(chunks, done) {
      this._whenReady(() => {
        this._socket.cork();
        chunks.forEach(({ chunk, encoding }, i) => {
          this._socket.write(chunk, encoding, i === chunks.length - 1 ? done : undefined);
        });
        this._socket.uncork();
      });
    }

    _final(done) {
      this._whenReady(() => this._socket.end(done));
    }

    _destroy(error, done) {
      this.connecting = false;
      this._waiting.length = 0;
      this._socket.destroy();
      done(error);
    }

    setTimeout(ms, listener) {
      if (listener && ms) this.once('timeout', listener);
      else if (listener) this.removeListener('timeout', listener);
      this._socket.setTimeout(ms);
      this.timeout = ms;
      return this;
    }

    setNoDelay(on) { this._socket.setNoDelay(on); return this; }
    setKeepAlive(on, delay) { this._socket.setKeepAlive(on, delay); return this; }
    ref() { this._socket.ref(); return this; }
    unref() { this._socket.unref(); return this; }
    address() { return this._socket.address(); }
    destroySoon() { this.writable ? this.end(() => this.destroy()) : this.destroy(); }
    get readyState() { return this.connecting ? 'opening' : this.destroyed ? 'closed' : 'open'; }
    get remoteAddress() { return this._socket.remoteAddress; }
    get remotePort() { return this._socket.remotePort; }
    get remoteFamily() { return this._socket.remoteFamily; }
    get localAddress() { return this._socket.localAddress; }
    get localPort() { return this._socket.localPort; }
    get localFamily() { return this._socket.localFamily; }
    get bytesRead() { return this._socket.bytesRead; }
    get bytesWritten() { return this._socket.bytesWritten; }
  }

  /** (options[, cb]), (port[, host][, options][, cb]) and (path[, cb]) as one options object and a callback. */
  function read(args) {
    const list = Array.isArray(args[0]) ? args[0] : Array.from(args);
    const callback = typeof list[list.length - 1] === 'function' ? list.pop() : undefined;
    if (list[0] !== null && typeof list[0] === 'object') return { options: list[0], callback };
    if (typeof list[0] === 'string' && !/^\d+$/.test(list[0])) return { options: { path: list[0] }, callback };
    const options = { port: list[0] };
    if (typeof list[1] === 'string') options.host = list[1];
    const more = list.find((item, i) => i > 0 && item !== null && typeof item === 'object');
    return { options: { ...options, ...more }, callback };
  }

  // Set while an HTTP agent opens a connection: then it is HTTP on whichever port.
  let byAgent = false;

  function throughAgent(open) {
    return function createConnection(...args) {
      const before = byAgent;
      byAgent = true;
      try {
        return open.apply(this, args);
      } finally {
        byAgent = before;
      }
    };
  }

  tls.connect = function connect(...args) {
    const { options, callback } = read(args);
    const to = target(options, 443, byAgent);
    if (!to) return tlsConnect.apply(this, args);
    const tunnel = new Tunnel(to, options);
    // TLS over a stream has no handle to pass these on to.
    const secure = tlsConnect.call(this, { ...options, host: to.host, socket: tunnel, path: undefined }, callback);
    secure.ref = () => { tunnel.ref(); return secure; };
    secure.unref = () => { tunnel.unref(); return secure; };
    secure.once('close', () => tunnel.destroy());
    return secure;
  };

  function connect(...args) {
    const { options, callback } = read(args);
    const to = target(options, 80, byAgent);
    if (!to) return netConnect.apply(this, args);
    const tunnel = new Tunnel(to, options);
    if (callback) tunnel.once('connect', callback);
    return tunnel;
  }
  net.connect = connect;
  net.createConnection = connect;

  // Node before 24 hands net.createConnection itself to http; later versions look it up, and tunnel by themselves when
  // NODE_USE_ENV_PROXY is set, which ends at the proxy's own address and is left alone above.
  const plain = http.Agent.prototype.createConnection;
  http.Agent.prototype.createConnection = throughAgent(plain === netConnect ? connect : plain);
  if (https.Agent.prototype.createConnection !== http.Agent.prototype.createConnection) {
    https.Agent.prototype.createConnection = throughAgent(https.Agent.prototype.createConnection);
  }
  require('module').syncBuiltinESMExports();
}

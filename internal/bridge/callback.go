package bridge

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// callback waits on 127.0.0.1 for the browser to come back (RFC 8252 §7.3).
type callback struct {
	redirect string
	log      *slog.Logger
	server   *http.Server
	served   sync.WaitGroup
	answers  chan *signInAnswer

	mu    sync.Mutex
	state string
	check func(iss string) error
}

// signInAnswer is what the browser brought: a code, or a failure. The page in the browser waits for finish.
type signInAnswer struct {
	code  string
	err   error
	shown chan error
}

func (s *signInAnswer) finish(err error) { s.shown <- err }

// listen opens the port: the one that was asked for, else the one of last time, else one that fits the server,
// else any. A client that is registered with one port can keep its registration that way.
func (a *access) listen(ctx context.Context, stored *record) (*callback, error) {
	var config net.ListenConfig
	open := func(port int) (net.Listener, error) {
		return config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	var listener net.Listener
	var err error
	if port := a.options.SignIn.CallbackPort; port != 0 {
		if listener, err = open(port); err != nil {
			return nil, fmt.Errorf("another program has port %d, to which the browser should come back: close it, or choose another port with --callback-port", port)
		}
	} else if listener, err = open(usualPort(a.options.Server, stored)); err != nil {
		if listener, err = open(0); err != nil {
			return nil, fmt.Errorf("no port is free on 127.0.0.1, to which the browser should come back: %w", err)
		}
	}
	c := &callback{
		redirect: "http://" + listener.Addr().String() + "/callback", log: a.log, answers: make(chan *signInAnswer, 1),
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	c.served.Go(func() { _ = c.server.Serve(listener) })
	return c, nil
}

// usualPort is the port of last time, or one between 49152 and 65535 (RFC 6335 §6) that fits the server.
func usualPort(server string, stored *record) int {
	if stored != nil && stored.Redirect != "" {
		if u, err := url.Parse(stored.Redirect); err == nil {
			if port, err := strconv.Atoi(u.Port()); err == nil {
				return port
			}
		}
	}
	sum := sha256.Sum256([]byte(server))
	return 49152 + int(binary.BigEndian.Uint16(sum[:])&0x3fff)
}

// expect says which answer is the right one.
func (c *callback) expect(state string, check func(iss string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.check = state, check
}

// await waits for the answer, or until somebody declines.
func (c *callback) await(ctx context.Context, declined <-chan struct{}) (*signInAnswer, error) {
	select {
	case answer := <-c.answers:
		if answer.err != nil {
			answer.finish(answer.err)
			return nil, answer.err
		}
		return answer, nil
	case <-declined:
		return nil, errDeclined
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errDeclined = errors.New("the sign-in was declined")

// close lets the last page out and frees the port.
func (c *callback) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.server.Shutdown(ctx)
	_ = c.server.Close()
	c.served.Wait()
}

// ServeHTTP takes the browser's answer. An answer with another state is somebody else's: it is refused and the
// right one awaited (RFC 9700 §4.7).
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/callback" {
		http.NotFound(w, r)
		return
	}
	query := r.URL.Query()
	c.mu.Lock()
	right := c.state != "" && subtle.ConstantTimeCompare([]byte(c.state), []byte(query.Get("state"))) == 1
	check := c.check
	if right {
		c.state = "" // once
	}
	c.mu.Unlock()
	if !right {
		c.log.Warn("a sign-in answer with a wrong state came and was ignored: it belongs to another sign-in, or was forged")
		c.page(w, http.StatusBadRequest, "This is not the sign-in that was expected",
			"It belongs to another attempt, or somebody forged it. Go back to the newest sign-in page.")
		return
	}
	answer := &signInAnswer{code: query.Get("code"), shown: make(chan error, 1)}
	// The error and its description count only if the right server sent them.
	if answer.err = check(query.Get("iss")); answer.err == nil {
		answer.err = answerError(query)
	}
	c.answers <- answer
	select {
	case err := <-answer.shown:
		if err != nil {
			c.page(w, http.StatusBadRequest, "You are not signed in", oneLine(err.Error()))
			return
		}
		c.page(w, http.StatusOK, "You are signed in", "You can close this window and go back to your application.")
	case <-r.Context().Done():
	}
}

func answerError(query url.Values) error {
	switch code := query.Get("error"); {
	case code == "access_denied":
		return fmt.Errorf("%w: %s", errDeclined, oneLine("access_denied "+query.Get("error_description")))
	case code != "":
		return fmt.Errorf("the sign-in failed: %s", oneLine(code+" "+query.Get("error_description")))
	case query.Get("code") == "":
		return errors.New("the sign-in answer holds no code")
	}
	return nil
}

// page shows one sentence. Nothing on it comes from elsewhere, and it keeps no trace of the code.
func (c *callback) page(w http.ResponseWriter, status int, title, text string) {
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+nonce+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	page := template.Must(template.New("page").Parse(pageText))
	_ = page.Execute(w, map[string]string{"Nonce": nonce, "Title": title, "Text": text})
}

const pageText = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} · Genkan</title>
<style nonce="{{.Nonce}}">
:root { color-scheme: light dark }
body { font: 1.125rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 20vh auto 0; padding: 0 1rem }
h1 { font-size: 1.5rem }
</style>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
<p role="status">{{.Text}}</p>
</main>
</body>
</html>
`

// UsualPort is the port to which the browser comes back from a server's sign-in when nothing else was chosen and
// the port is free: what to name in the registration of a client.
func UsualPort(server string) int { return usualPort(server, nil) }

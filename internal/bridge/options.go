package bridge

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/genkan-mcp/genkan/internal/secret"
)

// Streams are what an MCP client gives the command that it starts.
type Streams struct {
	In  io.Reader // from the MCP client
	Out io.Writer // to the MCP client, JSON-RPC only
	Log io.Writer // for people: standard error
}

// Transport says how the server speaks.
type Transport string

// The transports. Auto tries streamable HTTP first, then the older one.
const (
	Auto Transport = "auto"
	HTTP Transport = "http" // streamable HTTP, since revision 2025-03-26
	SSE  Transport = "sse"  // HTTP with SSE of revision 2024-11-05
)

// SignIn says how a person signs in. The zero value registers a client where it must, opens the system's
// browser, and waits five minutes.
type SignIn struct {
	// ClientID is a client that is registered at the authorization server. Entra needs one.
	ClientID string
	// ClientSecret is that client's secret, if it has one.
	ClientSecret secret.Text
	// ClientMetadata is the address of a client ID metadata document that names this program. It is used where
	// the authorization server takes such documents.
	ClientMetadata string
	// Scopes are asked for in addition to those that the server names.
	Scopes []string
	// CallbackPort is the port on 127.0.0.1 to which the browser comes back; 0 takes one that fits the server,
	// or any free one.
	CallbackPort int
	// DeviceCode shows a code and an address instead of opening a browser.
	DeviceCode bool
	// Browser is the command that opens an address, which is appended to it; empty means the system's browser.
	Browser []string
	// NoBrowser shows the address and opens nothing.
	NoBrowser bool
	// Timeout is how long a person has to sign in; five minutes when zero.
	Timeout time.Duration
}

// Place says where tokens and what belongs to them are kept.
type Place struct {
	// Dir is a folder of this person alone.
	Dir string
	// InsecureFile accepts a file with its key beside it where there is no key store: see package keystore.
	InsecureFile bool
}

// ConnectOptions say to which server, for whom, and how.
type ConnectOptions struct {
	Streams
	Server    string // the address of the MCP server
	Transport Transport
	SignIn    SignIn
	Place     Place
	Verbose   bool // log more
	// Client makes all requests; nil means one with the system's proxy and good timeouts.
	Client *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

const defaultSignInTimeout = 5 * time.Minute

// check finds what is wrong with the options and fills in what is left out.
func (o *ConnectOptions) check() error {
	if _, err := serverURL(o.Server); err != nil {
		return err
	}
	switch o.Transport {
	case Auto, HTTP, SSE:
	case "":
		o.Transport = Auto
	default:
		return fmt.Errorf("transport %q: use auto, http or sse", o.Transport)
	}
	if o.Place.Dir == "" {
		return errors.New("no folder to keep things in: set HOME")
	}
	if o.SignIn.Timeout <= 0 {
		o.SignIn.Timeout = defaultSignInTimeout
	}
	if port := o.SignIn.CallbackPort; port < 0 || port > 65535 {
		return fmt.Errorf("callback port %d: use a port from 1 to 65535", port)
	}
	if o.Client == nil {
		o.Client = newHTTPClient()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// serverURL accepts https, and plain http on this machine only: over the network it would show the token to
// everybody on the way.
func serverURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is not the address of a server: write it like https://mcp.contoso.com/weather/mcp", raw)
	}
	switch {
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("the address %s has a user or a fragment: remove it", u.Redacted())
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("plain http to %s would show your token to the network: use https", u.Host)
	}
	return nil, fmt.Errorf("%q is not a web address: write it like https://mcp.contoso.com/weather/mcp", raw)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// DataDir is the folder for a person's things below their configuration folder (os.UserConfigDir).
func DataDir(userConfigDir string) string { return filepath.Join(userConfigDir, "genkan") }

func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

func (o *ConnectOptions) level() slog.Level {
	if o.Verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

package bridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/genkan-mcp/genkan/internal/mcpwire"
)

// person is whoever sits at the MCP client. What they should read is written to the log, and, where no browser
// opens by itself, shown by the MCP client if it can: as an elicitation, else as a log message.
type person struct {
	options *SignIn
	log     *slog.Logger
	stderr  io.Writer
	out     *output

	mu       sync.Mutex
	client   clientAbilities
	asked    string // ID of the elicitation that is open
	declined chan struct{}
}

// clientAbilities are what the MCP client said in initialize (revisions up to 2025-11-25; in later ones a server
// may not ask on its own).
type clientAbilities struct {
	ready     bool // it has sent notifications/initialized
	elicit    bool
	elicitURL bool
}

// introduce remembers what the client can do.
func (p *person) introduce(initialize *mcpwire.Message) {
	raw, _ := initialize.Param("capabilities")
	var capabilities struct {
		Elicitation *struct {
			Form *struct{} `json:"form"`
			URL  *struct{} `json:"url"`
		} `json:"elicitation"`
	}
	_ = json.Unmarshal(raw, &capabilities)
	p.mu.Lock()
	defer p.mu.Unlock()
	e := capabilities.Elicitation
	p.client = clientAbilities{elicit: e != nil && (e.Form != nil || e.URL == nil), elicitURL: e != nil && e.URL != nil}
}

func (p *person) initialized() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.client.ready = true
}

// openPage opens a sign-in page, or shows its address. withdraw must be called when it is over; declined tells
// that the person said no.
func (p *person) openPage(ctx context.Context, address string) (withdraw func(), declined <-chan struct{}) {
	if !p.options.NoBrowser && !p.options.DeviceCode {
		err := openBrowser(ctx, p.options.Browser, address, p.stderr)
		if err == nil {
			p.log.Info("sign in on the page that has opened in your browser", "if none did, go to", address)
			return func() {}, nil
		}
		p.log.Warn("no browser could be opened", "why", err)
	}
	return p.show(ctx, "Sign in to continue: open this address in a browser on this machine.", address)
}

// showCode shows a device code.
func (p *person) showCode(ctx context.Context, code, address string) (withdraw func(), declined <-chan struct{}) {
	return p.show(ctx, "Sign in to continue: open the address in any browser and enter the code "+oneLine(code)+".", address)
}

func (p *person) show(_ context.Context, text, address string) (withdraw func(), declined <-chan struct{}) {
	address = plainAddress(address)
	_, _ = fmt.Fprintf(p.stderr, "\n%s\n  %s\n\n", text, address)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.client.ready || (!p.client.elicit && !p.client.elicitURL) {
		_ = p.out.notify("notifications/message", map[string]any{"level": "warning", "logger": "genkan", "data": text + " " + address})
		return func() {}, nil
	}
	id := "genkan-" + rand.Text()
	p.asked, p.declined = id, make(chan struct{})
	params := map[string]any{
		"message":         text + " " + address,
		"requestedSchema": map[string]any{"type": "object", "properties": map[string]any{}},
	}
	if p.client.elicitURL {
		params = map[string]any{"mode": "url", "elicitationId": id, "url": address, "message": text}
	}
	_ = p.out.request(id, "elicitation/create", params)
	return func() { p.withdraw(id) }, p.declined
}

func (p *person) withdraw(id string) {
	p.mu.Lock()
	open, viaURL := p.asked == id, p.client.elicitURL
	p.asked = ""
	p.mu.Unlock()
	if viaURL {
		_ = p.out.notify("notifications/elicitation/complete", map[string]any{"elicitationId": id})
	}
	if open {
		_ = p.out.notify("notifications/cancelled", map[string]any{"requestId": id, "reason": "the sign-in is over"})
	}
}

// answered takes the client's answer to an elicitation, and says whether it was one of ours.
func (p *person) answered(m *mcpwire.Message) bool {
	var id string
	if json.Unmarshal([]byte(m.ID()), &id) != nil || !strings.HasPrefix(id, "genkan-") {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked != id {
		return true // too late
	}
	p.asked = ""
	var answer struct {
		Result struct {
			Action string `json:"action"`
		} `json:"result"`
	}
	if json.Unmarshal(m.Bytes(), &answer) == nil && (answer.Result.Action == "decline" || answer.Result.Action == "cancel") {
		close(p.declined)
	}
	return true
}

// plainAddress keeps an address whole, whatever its length, and without control characters.
func plainAddress(address string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, address)
}

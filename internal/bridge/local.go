package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/internal/mcpwire"
	"github.com/genkan-mcp/genkan/policy"
	"github.com/genkan-mcp/genkan/policy/condition"
)

// MetaIdentity is the member of params._meta in which a guarded server finds who calls, as policy.Identity in
// JSON. Whatever a client writes there is refused.
const MetaIdentity = "genkan/identity"

// codeRefused is the code of a request that names something visible, with arguments or under conditions that are
// not allowed, and of one for which nobody has signed in. It is of the range that JSON-RPC 2.0 §5.1 leaves to
// servers, outside of what MCP defines and of what SDKs use among themselves: the go-sdk takes -32003 and -32004
// for a closed connection.
const codeRefused = -32010

// LocalOptions say which server is guarded, for whom, and by which rules.
type LocalOptions struct {
	Streams
	Command []string // the server and its arguments
	Env     []string // its environment

	// Tenant and ClientID are those of an app registration: a public client with the redirect URI http://localhost.
	Tenant, ClientID string
	Cloud            string // as in the configuration: "public" when empty
	Authority        string // a dev tenant on this machine
	// Scope is that of the API whose roles the rules name. Empty: the client is that API itself, and the scope is
	// "CLIENT-ID/access_as_user".
	Scope string

	// Rules say who may use what. Without any, everybody of the tenant may use everything.
	Rules []policy.Rule
	// Token hands an Entra token to the server, if set.
	Token ChildToken

	SignIn  SignIn
	Place   Place
	Verbose bool // log more
	Client  *http.Client
	Now     func() time.Time
}

// ChildToken says which token the guarded server gets and how. It never stands on a command line.
type ChildToken struct {
	Scope string // such as https://graph.microsoft.com/User.Read; empty: none
	// Env names the environment variable that holds the token. It holds the first token only, which lasts about
	// an hour.
	Env string
	// FileEnv names the environment variable that holds the number of a file descriptor, from which the server
	// reads tokens: one a line, a new one before the last ends.
	FileEnv string
}

// Local starts a server that speaks stdio, and lets messages through to it as the rules allow, once the person
// has signed in. It returns when the client closes its end, when the server ends, or when the context does.
func Local(ctx context.Context, o LocalOptions) error {
	rules, err := o.check()
	if err != nil {
		return err
	}
	log := newLogger(o.Log, o.level())
	out := &output{w: o.Out}
	somebody := &person{options: &o.SignIn, log: log, stderr: o.Log, out: out}
	who, err := newVisitor(ctx, &o, somebody, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	server, err := startChild(ctx, &o, who, &working, log)
	if err != nil {
		return err
	}
	g := &guardian{log: log, out: out, person: somebody, who: who, rules: rules, server: server, methods: map[mcpwire.ID]string{}, waiting: map[mcpwire.ID]context.CancelFunc{}, working: &working}
	return g.run(ctx, o.Streams)
}

func (o *LocalOptions) check() (*policy.Rules, error) {
	var mistakes []error
	if len(o.Command) == 0 {
		mistakes = append(mistakes, errors.New("no command to guard: write it behind --, as in genkan local -- npx some-server"))
	}
	if o.Token.Scope != "" && (o.Token.Env == "") == (o.Token.FileEnv == "") {
		mistakes = append(mistakes, errors.New("a token for the server needs either --token-env or --token-file-env, to say where the server finds it"))
	}
	if o.Token.Scope == "" && (o.Token.Env != "" || o.Token.FileEnv != "") {
		mistakes = append(mistakes, errors.New("a token for the server needs --token-scope, to say what it is for"))
	}
	if o.Place.Dir == "" {
		mistakes = append(mistakes, errors.New("no folder to keep things in: set HOME"))
	}
	if o.Scope == "" {
		o.Scope = o.ClientID + "/access_as_user"
	}
	if o.SignIn.Timeout <= 0 {
		o.SignIn.Timeout = defaultSignInTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Rules) == 0 {
		o.Rules = []policy.Rule{{Name: "everybody", Allow: []string{"*"}, Prompts: []string{"*"}, Resources: []string{"*"}, People: []string{"*"}}}
	}
	compiler, err := condition.New(condition.Config{})
	if err != nil {
		return nil, err
	}
	rules, err := policy.Compile(o.Rules, compiler.Compile)
	return rules, errors.Join(append(mistakes, err)...)
}

func (o *LocalOptions) level() slog.Level {
	if o.Verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// guardian stands between a client and a server on one machine.
type guardian struct {
	log     *slog.Logger
	out     *output
	person  *person
	who     *visitor
	rules   *policy.Rules
	server  *child
	working *sync.WaitGroup

	mu      sync.Mutex
	methods map[mcpwire.ID]string             // of requests under way, to know whose answers are lists
	waiting map[mcpwire.ID]context.CancelFunc // requests that wait for the person
}

func (g *guardian) run(ctx context.Context, s Streams) error {
	ended := make(chan error, 1)
	g.working.Go(func() { ended <- g.answers() })
	type arrival struct {
		m   *mcpwire.Message
		err error
	}
	arrivals := make(chan arrival)
	go func() { // ends with the process: reading standard input can't be interrupted
		defer close(arrivals)
		for m, err := range messages(s.In) {
			select {
			case arrivals <- arrival{m, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return g.server.stop()
		case err := <-ended:
			return err
		case a, more := <-arrivals:
			var refusal *mcpwire.Error
			switch {
			case !more:
				return g.server.stop()
			case errors.As(a.err, &refusal):
				_ = g.out.message(refusal.Body())
			case a.err != nil:
				return errors.Join(a.err, g.server.stop())
			default:
				g.take(ctx, a.m)
			}
		}
	}
}

// take passes on what needs nobody's leave, and has everything else wait for the person.
func (g *guardian) take(ctx context.Context, m *mcpwire.Message) {
	if m.Kind() == mcpwire.Response && g.person.answered(m) {
		return
	}
	if claimsIdentity(m) {
		g.refuse(m, mcpwire.CodeInvalidParams, "params._meta["+MetaIdentity+"] is set by Genkan, and by nobody else: leave it out")
		return
	}
	switch m.Method() {
	case "initialize":
		g.person.introduce(m)
	case "notifications/initialized":
		g.person.initialized()
	case "notifications/cancelled":
		if g.cancelled(m) {
			return
		}
	}
	if isFree(m) {
		g.forward(m)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	if m.Kind() == mcpwire.Request {
		g.mu.Lock()
		g.waiting[m.ID()] = cancel
		g.mu.Unlock()
	}
	g.working.Go(func() {
		defer cancel()
		g.admit(ctx, m)
	})
}

// isFree says whether a message opens or keeps the connection, and asks for nothing that a rule could be about.
func isFree(m *mcpwire.Message) bool {
	switch m.Method() {
	case "", "initialize", "ping", "server/discover", "notifications/initialized", "notifications/cancelled",
		"notifications/progress", "notifications/roots/list_changed":
		return true
	}
	return false
}

// admit finds out who asks, and passes the message on if the rules allow it.
func (g *guardian) admit(ctx context.Context, m *mcpwire.Message) {
	identity, err := g.who.identity(ctx)
	g.mu.Lock()
	delete(g.waiting, m.ID())
	g.mu.Unlock()
	if ctx.Err() != nil {
		return // the client has given up
	}
	if err != nil {
		g.log.Warn("nobody has signed in", "method", m.Method(), "why", err)
		g.refuse(m, codeRefused, "Genkan: "+oneLine(err.Error()))
		return
	}
	for i, use := range m.Uses() {
		call := policy.Call{Target: policy.Target(use.Thing), Name: use.Name}
		if i == 0 && (use.Thing == mcpwire.Tool || use.Thing == mcpwire.Prompt) {
			call.Arguments = m.Arguments()
		}
		decision := g.rules.Decide(identity, call)
		for _, o := range decision.Observed {
			g.log.Info("a rule in observe mode would have refused", "rule", o.Rule.Name, "refusal", o.Refusal)
		}
		if !decision.Allowed {
			g.log.Info("refused", "who", identity.Key(), "what", string(use.Thing), "name", oneLine(use.Name), "refusal", decision.Refusal)
			code, message := refusalOf(use, decision)
			g.refuse(m, code, message)
			return
		}
	}
	if raw, err := json.Marshal(identity); err == nil {
		m.SetMetaValue(MetaIdentity, raw)
	}
	g.forward(m)
}

// refusalOf answers as the gateway does: what somebody may not even know of does not exist.
func refusalOf(use mcpwire.Use, d policy.Decision) (code int, message string) {
	switch {
	case use.Thing == mcpwire.Method:
		return mcpwire.CodeMethodNotFound, fmt.Sprintf("method not found: %q", use.Name)
	case !d.Hidden && d.Refusal != nil:
		return codeRefused, d.Refusal.Error()
	case use.Thing == mcpwire.Tool:
		return mcpwire.CodeInvalidParams, fmt.Sprintf("unknown tool %q", use.Name)
	case use.Thing == mcpwire.Prompt:
		return mcpwire.CodeInvalidParams, fmt.Sprintf("unknown prompt %q", use.Name)
	}
	return mcpwire.CodeInvalidParams, "Resource not found"
}

// refuse answers a request in place of the server.
func (g *guardian) refuse(m *mcpwire.Message, code int, message string) {
	if m.Kind() == mcpwire.Request {
		_ = g.out.failure(m.ID(), code, message)
	}
}

// cancelled stops a request that still waits for the person.
func (g *guardian) cancelled(m *mcpwire.Message) bool {
	raw, _ := m.Param("requestId")
	g.mu.Lock()
	defer g.mu.Unlock()
	cancel := g.waiting[mcpwire.ID(raw)]
	if cancel == nil {
		return false
	}
	delete(g.waiting, mcpwire.ID(raw))
	cancel()
	return true
}

// claimsIdentity says whether a client pretends to be Genkan, in whatever case.
func claimsIdentity(m *mcpwire.Message) bool {
	raw, ok := m.Param("_meta")
	if !ok {
		return false
	}
	var meta map[string]json.RawMessage
	if json.Unmarshal(raw, &meta) != nil {
		return true
	}
	for key := range meta {
		if strings.EqualFold(key, MetaIdentity) {
			return true
		}
	}
	return false
}

func (g *guardian) forward(m *mcpwire.Message) {
	if m.Kind() == mcpwire.Request {
		g.mu.Lock()
		g.methods[m.ID()] = m.Method()
		g.mu.Unlock()
	}
	if err := g.server.write(m.Bytes()); err != nil {
		g.refuse(m, mcpwire.CodeInternal, "Genkan: "+oneLine(err.Error()))
	}
}

// answers lets through what the server says, without what the person may not see.
func (g *guardian) answers() error {
	filter := &mcpwire.Filter{Visible: g.visible, Method: g.methodOf, Limit: messageLimit}
	for line, err := range g.server.lines() {
		if err != nil {
			g.log.Warn("the server can't be read", "why", err)
			continue
		}
		answer, err := filter.JSON(line)
		if err == nil {
			err = g.out.message(answer)
		}
		if err != nil {
			g.log.Warn("the server wrote something that is no message, and it was left out", "why", err)
		}
	}
	return g.server.reap()
}

// visible says whether a list may show a thing. Lists come only after somebody signed in.
func (g *guardian) visible(use mcpwire.Use) bool {
	identity, known := g.who.known()
	return known && g.rules.Visible(identity, policy.Target(use.Thing), use.Name)
}

// methodOf says which request an answer belongs to, once.
func (g *guardian) methodOf(id mcpwire.ID) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	method := g.methods[id]
	delete(g.methods, id)
	return method
}

// cloudNamed finds the cloud by its name in the configuration.
func cloudNamed(name, authority string) (entra.Cloud, error) {
	if authority != "" {
		return entra.DevCloud(authority)
	}
	switch name {
	case "", "public":
		return entra.Public(), nil
	case "us_government":
		return entra.USGovernment(), nil
	case "china":
		return entra.China(), nil
	}
	return entra.Cloud{}, fmt.Errorf("cloud %q: use public, us_government or china", name)
}

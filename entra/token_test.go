package entra_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/genkan-mcp/genkan/entra"
)

// Threat 37: what is secret shows in no way of printing, also not where fmt may call no method.
func TestThreat37_NothingSecretPrints(t *testing.T) {
	const secret = "s3cr3t-s3cr3t"
	token := entra.NewToken(secret, time.Now())
	state, credential := entra.NewState([]byte(secret)), entra.Secret(secret)
	hidden := struct {
		token      entra.Token
		state      entra.State
		credential entra.Credential
	}{token, state, credential}
	signIn := entra.SignIn{Token: token, State: state}
	config := entra.ClientConfig{Credential: credential}
	for _, value := range []any{token, state, credential, &token, &state, &credential, hidden, &hidden, signIn, &signIn, config} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			wantHidden(t, verb, fmt.Sprintf(verb, value))
		}
		encoded, err := json.Marshal(map[string]any{"t": token, "s": state, "c": credential, "v": fmt.Sprint(value)})
		if err != nil {
			t.Fatal(err)
		}
		wantHidden(t, "json", string(encoded))
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", value)
		wantHidden(t, "slog", log.String())
	}
	if token.Reveal() != secret || string(state.Reveal()) != secret {
		t.Error("Reveal must give the secret out")
	}
}

func wantHidden(t *testing.T, how, text string) {
	t.Helper()
	for _, leak := range []string{"s3cr3t", fmt.Sprintf("%x", "s3cr3t"), fmt.Sprintf("%X", "s3cr3t"), "115 51 99"} {
		if strings.Contains(text, leak) {
			t.Errorf("%s shows the secret: %s", how, text)
		}
	}
}

func TestZeroTokensAndStatesSaySo(t *testing.T) {
	if !(entra.Token{}).IsZero() || !entra.NewToken("", time.Now()).IsZero() || entra.NewToken("x", time.Time{}).IsZero() {
		t.Error("a token is zero when there is none")
	}
	if !(entra.State{}).IsZero() || !entra.NewState(nil).IsZero() || entra.NewState([]byte("x")).IsZero() {
		t.Error("a state is zero when there is none")
	}
	if (entra.Token{}).Reveal() != "" || (entra.State{}).Reveal() != nil {
		t.Error("nothing must reveal nothing")
	}
}

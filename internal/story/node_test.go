package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/genkan-mcp/genkan/internal/story/browser"
)

// ask sends a command and reads the answer.
func (n *nodeClient) ask(command, answer any) error {
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	_, _ = n.in.Write(append(line, '\n'))
	if err := n.in.Flush(); err != nil {
		return fmt.Errorf("write to the client: %w", err)
	}
	if !n.out.Scan() {
		return fmt.Errorf("the client said nothing: %w", errors.Join(n.out.Err(), errors.New("it ended")))
	}
	var failure struct{ Error string }
	if err := json.Unmarshal(n.out.Bytes(), &failure); err == nil && failure.Error != "" {
		return errors.New(failure.Error)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(n.out.Bytes(), answer)
}

func (n *nodeClient) connect(ctx context.Context, b *browser.Browser, person string) error {
	var answer struct {
		Authorize string
		Connected bool
	}
	if err := n.ask(map[string]any{"do": "connect"}, &answer); err != nil || answer.Connected {
		return err
	}
	back, err := b.SignIn(ctx, answer.Authorize, callbackURL, person)
	if err != nil {
		return err
	}
	answer.Connected = false
	if err := n.ask(map[string]any{"callback": back.String()}, &answer); err != nil {
		return err
	}
	if !answer.Connected {
		return errors.New("the client did not connect")
	}
	return nil
}

func (n *nodeClient) list(context.Context) ([]string, error) {
	var answer struct{ Tools []string }
	err := n.ask(map[string]any{"do": "list"}, &answer)
	return answer.Tools, err
}

func (n *nodeClient) call(_ context.Context, tool string, arguments map[string]any) (string, error) {
	var answer struct {
		Result struct {
			IsError bool
			Content []struct{ Text string }
		}
	}
	if err := n.ask(map[string]any{"do": "call", "name": tool, "arguments": arguments}, &answer); err != nil {
		return "", err
	}
	said := ""
	for _, c := range answer.Result.Content {
		said += c.Text
	}
	if answer.Result.IsError {
		return "", errors.New(said)
	}
	return said, nil
}

func (n *nodeClient) refresh(ctx context.Context) error {
	var before, after struct {
		Saved   int
		Refresh bool
	}
	if err := n.ask(map[string]any{"do": "tokens"}, &before); err != nil {
		return err
	}
	if !before.Refresh {
		return errors.New("the client has no refresh token")
	}
	if err := n.ask(map[string]any{"do": "spoil"}, nil); err != nil {
		return err
	}
	if _, err := n.list(ctx); err != nil {
		return err
	}
	if err := n.ask(map[string]any{"do": "tokens"}, &after); err != nil {
		return err
	}
	if after.Saved != before.Saved+1 {
		return fmt.Errorf("tokens were saved %d times after a refresh, %d before", after.Saved, before.Saved)
	}
	return nil
}

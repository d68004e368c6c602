// Command genkan is the front door for MCP servers: it signs people in with Microsoft Entra ID, and checks,
// translates and writes down every tool call before it reaches the server behind.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "genkan:", err)
		os.Exit(1)
	}
}

package app

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/genkan-mcp/genkan/internal/audit"
	"github.com/genkan-mcp/genkan/internal/config"
)

// Reload puts another configuration into effect. One that can't be changes nothing. What only a restart can change
// (addresses, store, keys, log) stays as it is, and the log says so.
func (a *App) Reload(ctx context.Context, next *config.Config) error {
	kept, changed := keepFixed(a.cfg.Load(), next)
	made, err := a.openRooms(ctx, kept)
	if err != nil {
		return err
	}
	a.cfg.Store(kept)
	old := a.rooms.Swap(made)
	old.replace()
	if len(changed) > 0 {
		a.logger.WarnContext(ctx, "some changes of the configuration need a restart", "keys", strings.Join(changed, " "))
	}
	return nil
}

// keepFixed takes over from the running configuration what only a restart can change, and names what was different.
func keepFixed(running, next *config.Config) (*config.Config, []string) {
	kept := *next
	var changed []string
	was, is := reflect.ValueOf(running).Elem(), reflect.ValueOf(&kept).Elem()
	for _, name := range []string{"PublicURL", "Listen", "TLS", "Data", "Store", "Keys", "Audit", "Log", "Metrics", "Traces"} {
		before, after := was.FieldByName(name), is.FieldByName(name)
		if !reflect.DeepEqual(before.Interface(), after.Interface()) {
			field, _ := is.Type().FieldByName(name)
			changed = append(changed, field.Tag.Get("yaml"))
			after.Set(before)
		}
	}
	return &kept, changed
}

// watchEvery is how often the configuration file is looked at.
const watchEvery = 2 * time.Second

// watch reloads the file when it changes and on SIGHUP, until ctx ends.
func (a *App) watch(ctx context.Context, file string, env config.Lookup) {
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := stampOf(file)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUp:
			last = stampOf(file)
		case <-tick.C:
			now := stampOf(file)
			if now == last {
				continue
			}
			last = now
		}
		a.reloadFile(ctx, file, env)
	}
}

func (a *App) reloadFile(ctx context.Context, file string, env config.Lookup) {
	next, err := config.LoadFile(file, env)
	if err == nil {
		err = a.Reload(ctx, next)
	}
	a.metrics.Reloaded(err)
	event := audit.Event{Kind: audit.Reload, Decision: audit.Allowed, Detail: "the configuration was loaded anew"}
	if err != nil {
		a.logger.ErrorContext(ctx, "the configuration was not loaded: nothing changed", "error", err)
		event.Decision, event.Detail = audit.Failed, "a configuration with mistakes was not loaded; the log names them"
	} else {
		a.logger.InfoContext(ctx, "the configuration was loaded anew", "file", file)
	}
	if err := a.audit.Record(ctx, event); err != nil {
		a.logger.ErrorContext(ctx, "write the audit log", "error", err)
	}
}

// stampOf tells versions of a file apart.
func stampOf(file string) string {
	info, err := os.Stat(file)
	if err != nil {
		return "" // being replaced, perhaps; it is read when it is back
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

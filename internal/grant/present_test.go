package grant

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/secret"
)

// ledger is a store whose statements end with their context, as a database's do.
type ledger struct {
	Leases
	published Tokens
}

func (l *ledger) Acquire(ctx context.Context, _ Grant, _ string, _ time.Duration) error {
	return ctx.Err()
}

func (l *ledger) Publish(ctx context.Context, g Grant, _ string, t Tokens, _ time.Time) (Grant, error) {
	l.published = t
	return g, ctx.Err()
}

// slow is a provider whose answer comes when the flight's time is up.
type slow struct{ flight context.Context }

func (s slow) Refresh(ctx context.Context, _ secret.Text) (Tokens, error) {
	<-s.flight.Done()
	return Tokens{Refresh: secret.New("successor")}, ctx.Err()
}

// A flight may have waited for other replicas' leases for most of its time.
func TestWhatIsPresentedHasTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	flight, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	store := &ledger{}
	source := &Source{Leases: store, Refresher: slow{flight}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	_, err := source.present(flight, Grant{ID: "grant", Refresh: secret.New("refresh")}, time.Now())
	if err != nil || store.published.Refresh.Reveal() != "successor" {
		t.Errorf("got %v, stored %q", err, store.published.Refresh.Reveal())
	}
}

func TestReasonsToSignInAgainAreDocumented(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{reasonNoRefreshToken, ReasonInterrupted, ReasonSubject} {
		if !strings.Contains(string(guide), "`"+reason+"`") {
			t.Errorf("docs/clients.md does not say what %s means", reason)
		}
	}
}

package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"galaxygate/internal/login"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

// sealedAttempt is the part of an attempt that is sealed.
type sealedAttempt struct {
	Nonce    string   `json:"nonce"`
	Verifier string   `json:"verifier"`
	Scopes   []string `json:"scopes"`
	ReturnTo string   `json:"return_to"`

	App *login.App `json:"app,omitempty"`
}

func attemptPlace(stateHash []byte) vault.Place {
	return vault.Place{Table: "sign_in_attempts", Row: hex.EncodeToString(stateHash), Column: "sealed"}
}

// browserHash is by what, beside its state, an attempt is found: the cookie's hash, and
// for an app's attempt another. A replica of a version before there were apps does not
// find that: it would sign the browser in.
func browserHash(browser secret.Text, app bool) []byte {
	if app {
		return secret.New("app " + browser.Reveal()).Hash()
	}
	return browser.Hash()
}

const insertAttemptSQL = `
INSERT INTO sign_in_attempts (state_hash, browser_hash, sealed, expires_at) VALUES (?, ?, ?, ?)`

// SaveAttempt implements login.Store.
func (db *DB) SaveAttempt(ctx context.Context, a login.Attempt) error {
	text, err := json.Marshal(sealedAttempt{
		Nonce: a.Nonce.Reveal(), Verifier: a.Verifier.Reveal(), Scopes: a.Scopes, ReturnTo: a.ReturnTo, App: a.App,
	})
	if err != nil {
		return fmt.Errorf("encode sign-in attempt: %w", err)
	}
	state := a.State.Hash()
	sealed, err := db.vault.Seal(secret.New(string(text)), attemptPlace(state))
	if err != nil {
		return err
	}
	_, err = db.exec(ctx, db.write, insertAttemptSQL, state, browserHash(a.Browser, a.App != nil), sealed, stamp(a.ExpiresAt))
	return explain(ctx, "save sign-in attempt", err)
}

const takeAttemptSQL = `
DELETE FROM sign_in_attempts WHERE state_hash = ? AND browser_hash IN (?, ?) AND expires_at > ?
RETURNING sealed, expires_at`

// TakeAttempt implements login.Store.
func (db *DB) TakeAttempt(ctx context.Context, state, browser secret.Text, now time.Time) (login.Attempt, error) {
	var row struct {
		Sealed    []byte    `db:"sealed"`
		ExpiresAt time.Time `db:"expires_at"`
	}
	hash := state.Hash()
	err := db.transact(ctx, func(tx *sqlx.Tx) error {
		return db.get(ctx, tx, &row, takeAttemptSQL, hash, browserHash(browser, false), browserHash(browser, true), stamp(now))
	})
	if errors.Is(err, sql.ErrNoRows) {
		return login.Attempt{}, login.ErrNoAttempt
	}
	if err != nil {
		return login.Attempt{}, explain(ctx, "take sign-in attempt", err)
	}
	text, err := db.vault.Open(row.Sealed, attemptPlace(hash))
	if err != nil {
		return login.Attempt{}, err
	}
	var opened sealedAttempt
	if err := json.Unmarshal([]byte(text.Reveal()), &opened); err != nil {
		return login.Attempt{}, errors.New("decode sign-in attempt: not what was sealed") // the cause may quote it
	}
	return login.Attempt{
		State:     state,
		Browser:   browser,
		Nonce:     secret.New(opened.Nonce),
		Verifier:  secret.New(opened.Verifier),
		Scopes:    opened.Scopes,
		ReturnTo:  opened.ReturnTo,
		App:       opened.App,
		ExpiresAt: row.ExpiresAt.UTC(),
	}, nil
}

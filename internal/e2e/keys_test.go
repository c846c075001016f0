package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"galaxygate/internal/devrollup"
	"galaxygate/internal/kmstest"
	"galaxygate/internal/secret"
	"galaxygate/internal/vault"
)

// keysetFile writes a new keyset to a file and returns its name.
func keysetFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keyset.json")
	if err := os.WriteFile(name, []byte(keys(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// keyIDs are the IDs in the file, the primary's first.
func keyIDs(t *testing.T, name string) []uint32 {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	keyset, err := vault.ReadKeyset(t.Context(), secret.New(string(content)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return keyset.KeyIDs()
}

func inFile(name string) map[string]string {
	return map[string]string{"TOKEN_KEYSET": "", "TOKEN_KEYSET_FILE": name}
}

// reloads are the keys of each keyset that the gateway has loaded since its start.
func (g *gateway) reloads() [][]uint32 {
	var all [][]uint32
	for line := range strings.Lines(g.log.String()) {
		var fields struct {
			Msg string   `json:"msg"`
			IDs []uint32 `json:"key_ids"`
		}
		if json.Unmarshal([]byte(line), &fields) == nil && fields.Msg == "keyset reloaded" {
			all = append(all, fields.IDs)
		}
	}
	return all
}

// TestKeysAreRotatedUnderLoad rotates keys and seals everything anew while clients
// of two gateways sign in, and refresh tokens that live for seconds.
func TestKeysAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	name := keysetFile(t)
	w := found(t, postgres(t), rollup, inFile(name))
	other := serving(t, w.replica(t, nil))
	db := openDatabase(t, w.database)
	w.rollup.Set(func(s *devrollup.Switches) {
		s.RotateRefreshTokens, s.AccessTokenLife = true, devrollup.Duration(3*time.Second)
	})
	stop := w.load(t, other)
	defer stop()
	for range 2 {
		rotateOnce(t, w, name)
	}
	newest := keyIDs(t, name)
	for _, g := range []*gateway{w.gateway, other} {
		eventually(t, 20*time.Second, func() bool {
			loaded := g.reloads()
			return len(loaded) > 0 && slices.Equal(loaded[len(loaded)-1], newest)
		}, func() string { return "a gateway has not loaded the last keyset" })
	}
	before := w.refreshes()
	eventually(t, 20*time.Second, func() bool { return w.refreshes() > before }, func() string { return "nothing is refreshed any more" })
	stop()
	for _, from := range []string{"access_token) FROM grants", "refresh_token) FROM grants", "sealed) FROM sign_in_attempts", "sealed) FROM vault_canary"} {
		for _, sealed := range column(t, db, "SELECT DISTINCT ("+from) {
			if id, ok := vault.SealedUnder([]byte(sealed)); !ok || id != newest[0] {
				t.Errorf("%s: a value is under key %d, want %d", from, id, newest[0])
			}
		}
	}
}

// rotateOnce takes the old key through its end.
func rotateOnce(t *testing.T, w *world, name string) {
	t.Helper()
	old := keyIDs(t, name)[0]
	if out, status := w.command(t, "keys", "rotate"); status != 0 || !strings.Contains(out, "keys reencrypt") {
		t.Fatalf("keys rotate: %d\n%s", status, out)
	}
	ids := keyIDs(t, name)
	if len(ids) != 2 || ids[0] == old || ids[1] != old {
		t.Fatalf("after keys rotate: keys %v, the old one is %d", ids, old)
	}
	remove := func() (string, int) { return w.command(t, "keys", "remove", fmt.Sprint(old)) }
	if out, status := remove(); status != 1 || !strings.Contains(out, "still in use") {
		t.Errorf("keys remove, too early: %d\n%s", status, out)
	}
	if out, status := w.command(t, "keys", "remove", fmt.Sprint(ids[0])); status != 1 || !strings.Contains(out, "primary") {
		t.Errorf("keys remove of the primary: %d\n%s", status, out)
	}
	if out, status := w.command(t, "keys", "reencrypt"); status != 0 || !strings.Contains(out, fmt.Sprintf("anew under key %d", ids[0])) {
		t.Fatalf("keys reencrypt: %d\n%s", status, out)
	}
	out, status := w.command(t, "keys", "list")
	if fields := strings.Fields(out); status != 0 || !slices.Contains(fields, "primary") || !slices.Contains(fields, "old") || slices.Contains(fields, "MISSING") {
		t.Errorf("keys list: %d\n%s", status, out)
	}
	if out, status := remove(); status != 0 {
		t.Fatalf("keys remove: %d\n%s", status, out)
	}
	if ids := keyIDs(t, name); slices.Contains(ids, old) {
		t.Errorf("the removed key is in the file: %v", ids)
	}
}

// load lets Alice ask both gateways, and Bob sign in again and again, until stop is
// called. An answer with an error fails the test.
func (w *world) load(t *testing.T, other *gateway) (stop func()) {
	t.Helper()
	here, there := w.browser(t), w.browser(t)
	here.signIn(t, w.url+"/auth/login")
	elsewhere := *w
	elsewhere.gateway = other
	there.w, there.client.Jar = &elsewhere, here.client.Jar
	end := make(chan struct{})
	var clients sync.WaitGroup
	until := func(do func() string) {
		clients.Go(func() {
			pause := time.NewTicker(20 * time.Millisecond)
			defer pause.Stop()
			for {
				select {
				case <-end:
					return
				case <-pause.C:
				}
				if failure := do(); failure != "" {
					t.Error(failure)
					return
				}
			}
		})
	}
	until(func() string { return ask(context.Background(), here) })
	until(func() string { return ask(context.Background(), there) })
	until(func() string { return signInBob(t, w.browser(t)) })
	return sync.OnceFunc(func() {
		close(end)
		clients.Wait()
	})
}

// signInBob says what went wrong.
func signInBob(t *testing.T, b *browser) string {
	t.Helper()
	resp, _ := b.get(t, b.w.url+"/auth/login")
	visitor := &devrollup.Visitor{Person: "bob"}
	back, err := visitor.Visit(t.Context(), resp.Header.Get("Location"))
	if err != nil {
		return fmt.Sprintf("Bob's sign-in: %d, %v", resp.StatusCode, err)
	}
	if resp, body := b.get(t, back.String()); resp.StatusCode != http.StatusSeeOther || b.session() == "" {
		return fmt.Sprintf("Bob's sign-in: the callback answers %d: %s", resp.StatusCode, body)
	}
	return ""
}

// TestAWrappedKeysetStaysWrapped serves with a keyset that a key-management service
// unwraps, rotates its keys, and reloads it.
func TestAWrappedKeysetStaysWrapped(t *testing.T) {
	t.Parallel()
	engine := kmstest.Start(t)
	name, token := filepath.Join(t.TempDir(), "keyset.json"), filepath.Join(t.TempDir(), "token")
	w := settle(t, sqlite(t), rollup, inFile(name))
	w.env = append(w.env, "TOKEN_KEYSET_KMS_URI="+engine.URI, "VAULT_TOKEN_FILE="+token, "SSL_CERT_FILE="+engine.CertificateFile(t))
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token, kmstest.Token+"\n")
	made, status := w.command(t, "keys", "new")
	if status != 0 || !strings.Contains(made, `"encryptedKeyset"`) {
		t.Fatalf("keys new: %d\n%s", status, made)
	}
	write(name, made)
	w.run(t)
	w.await(t, w.admin+"/readyz", http.StatusOK)
	b := w.browser(t)
	b.signIn(t, w.url+"/auth/login")
	for _, args := range [][]string{{"keys", "rotate"}, {"keys", "reencrypt"}, {"keys", "list"}} {
		if out, status := w.command(t, args...); status != 0 {
			t.Fatalf("%v: %d\n%s", args, status, out)
		}
	}
	content, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(content), `"encryptedKeyset"`) {
		t.Fatalf("after keys rotate the file is not wrapped: %v", err)
	}
	eventually(t, 20*time.Second, func() bool { return len(w.reloads()) > 0 }, func() string { return "the keyset is not reloaded" })
	if r := b.query(t, `{ viewer { name } }`); len(r.Errors) != 0 {
		t.Errorf("under the new key: %+v", r.Errors)
	}
	w.stop(t)

	write(token, "another-token")
	if out, status := w.command(t); status != 1 || !strings.Contains(out, "VAULT_TOKEN") || strings.Contains(out, "another-token") {
		t.Errorf("serve with a token that is refused: %d\n%s", status, out)
	}
	w.env = append(w.env, "TOKEN_KEYSET_KMS_URI=")
	if out, status := w.command(t); status != 1 || !strings.Contains(out, "TOKEN_KEYSET_KMS_URI must name it") {
		t.Errorf("serve with a wrapped keyset and no service: %d\n%s", status, out)
	}
}

// TestKeysOfAnotherDatabaseStay points the commands at a database that is migrated
// and that nobody serves from.
func TestKeysOfAnotherDatabaseStay(t *testing.T) {
	t.Parallel()
	name := keysetFile(t)
	w := found(t, sqlite(t), rollup, inFile(name))
	if out, status := w.command(t, "keys", "rotate"); status != 0 {
		t.Fatalf("keys rotate: %d\n%s", status, out)
	}
	before, old := keyIDs(t, name), keyIDs(t, name)[1]
	other := w.replica(t, map[string]string{"DATABASE_URL": postgres(t)})
	for _, args := range [][]string{{"rotate"}, {"reencrypt"}, {"remove", fmt.Sprint(old)}, {"remove", "--unused"}, {"list"}} {
		if out, status := other.command(t, append([]string{"keys"}, args...)...); status != 1 || !strings.Contains(out, "no gateway has ever served from this database") {
			t.Errorf("keys %v: %d\n%s", args, status, out)
		}
	}
	if after := keyIDs(t, name); !slices.Equal(after, before) {
		t.Errorf("got keys %v, want %v", after, before)
	}
	other.env = append(other.env, "TOKEN_KEYSET_FILE="+keysetFile(t))
	other.run(t) // as its owner, who has another keyset
	other.await(t, other.admin+"/readyz", http.StatusOK)
}

// TestTheDocumentedRotationOfAReadOnlyFile runs the lines of docs/operations.md as
// they stand there, and hands out what each has printed.
func TestTheDocumentedRotationOfAReadOnlyFile(t *testing.T) {
	t.Parallel()
	name := keysetFile(t)
	w := found(t, sqlite(t), rollup, inFile(name))
	w.browser(t).signIn(t, w.url+"/auth/login")
	old := keyIDs(t, name)[0]
	for _, line := range recipe(t, "**Where the file is read-only**") {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = w.dir, append(slices.Clip(w.env), "PATH="+filepath.Dir(w.binary)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		if strings.Contains(string(out), "then run") && !strings.Contains(string(out), "TOKEN_KEYSET_FILE naming it") {
			t.Errorf("%s: it says\n%s", line, out)
		}
		if _, printed, ok := strings.Cut(line, "> "); ok {
			handOut(t, filepath.Join(w.dir, printed), name)
		}
	}
	ids := keyIDs(t, name)
	if len(ids) != 1 || ids[0] == old {
		t.Errorf("got keys %v, want another one than %d alone", ids, old)
	}
	if out, status := w.command(t, "keys", "list"); status != 0 || strings.Contains(out, "MISSING") {
		t.Errorf("keys list: %d\n%s", status, out)
	}
}

// recipe is the indented block after the paragraph that begins so.
func recipe(t *testing.T, beginning string) (lines []string) {
	t.Helper()
	content, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(content), beginning)
	for line := range strings.Lines(after) {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok && len(lines) > 0 {
			return lines
		}
		if ok {
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	t.Fatalf("docs/operations.md has no recipe after %q", beginning)
	return nil
}

// handOut puts a copy in the place of the file that replicas read, in one step.
func handOut(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".copy", content, 0o600)
	}
	if err == nil {
		err = os.Rename(to+".copy", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

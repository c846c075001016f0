package graph

import (
	"strings"
	"testing"

	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

// FuzzCursorsAndIDs holds the reading of cursors and of nodes' IDs against what is
// true of any.
func FuzzCursorsAndIDs(f *testing.F) {
	lists := []string{"accounts", "sessions", activityList}
	for _, text := range []string{
		"", "1", "MTphY2NvdW50czphbGljZQ", "MTphY2NvdW50czphbGljZQ==", "MTpzZXNzaW9uczo", "MjphY2NvdW50czph", "\x00\xff", "a:b", "sessions:x",
		"urn:rollupid:identity/0x5f", "urn:rollupid:identity/", "urn:rollupid:identity/a?b", "urn:rollupid:account/0x1", "account:AAAA",
		writeCursor("accounts", "ethereum\x000x1"), writeCursor(activityList, "accounts:1:"),
	} {
		f.Add(text)
	}
	current := session.Session{Subject: "alice"}
	f.Fuzz(func(t *testing.T, text string) {
		taken := 0
		for _, list := range lists {
			if key, err := readCursor(list, writeCursor(list, text)); err != nil || key != text {
				t.Errorf("%s: %q comes back as %q, %v", list, text, key, err)
			}
			for _, other := range lists {
				if key, err := readCursor(other, writeCursor(list, text)); err == nil && other != list {
					t.Errorf("%s takes the cursor of %s for %q", other, list, key)
				}
			}
			key, err := readCursor(list, text)
			if err != nil {
				continue
			}
			taken++
			if again, err := readCursor(list, writeCursor(list, key)); err != nil || again != key {
				t.Errorf("%q is that of %q, written again of %q, %v", text, key, again, err)
			}
			p, err := paginate(list, []string{"a", "b", key}[:2], func(s string) string { return s }, nil, &text)
			if err != nil || len(p.items) > 2 || p.before != (key >= "a") {
				t.Errorf("after %q: %+v, %v", key, p, err)
			}
		}
		if taken > 1 {
			t.Errorf("%d lists take %q", taken, text)
		}
		kind := typeOf(current, text)
		if urn := strings.HasPrefix(text, identityURNPrefix); kind == "User" && (!urn || strings.ContainsAny(text, "?# ") || text == identityURNPrefix) && text != "alice" {
			t.Errorf("%q is the ID of a user", text)
		}
		if kind == "ConnectedAccount" && !upstream.IsAccountID(text) || kind == "Session" && isIdentity(text) {
			t.Errorf("%q is that of a %s", text, kind)
		}
	})
}

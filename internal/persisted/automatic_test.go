package persisted_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"galaxygate/internal/persisted"
)

func TestAutomaticDocumentsAreFoundByTheirHash(t *testing.T) {
	t.Parallel()
	a := persisted.NewAutomatic(100)
	if !a.Add("{a}") {
		t.Error("a short text is not kept")
	}
	if text, ok := a.Find(persisted.HashOf("{a}")); !ok || text != "{a}" {
		t.Errorf("got %q, %v", text, ok)
	}
	if _, ok := a.Find(persisted.HashOf("{b}")); ok {
		t.Error("another one is found")
	}
	long := "{a}#" + strings.Repeat("x", 100)
	if a.Add(long) {
		t.Error("a long text is kept")
	}
	if _, ok := a.Find(persisted.HashOf(long)); ok {
		t.Error("a long text is found")
	}
}

func TestAutomaticDocumentsTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	const all = 16 << 20
	a := persisted.NewAutomatic(0)
	if a.Add(strings.Repeat("x", all)) {
		t.Error("one text may take all")
	}
	var flood sync.WaitGroup
	for client := range 4 {
		flood.Go(func() {
			for i := range 500 {
				a.Add(fmt.Sprintf("{a}#%d %d %s", client, i, strings.Repeat("x", 64<<10)))
			}
		})
	}
	flood.Wait()
	if got := a.Bytes(); got > all || got < all/2 {
		t.Errorf("got %d bytes, want at most %d, and more than half of it", got, all)
	}
}

package graph

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"galaxygate/graph/model"
	"galaxygate/internal/audit"
	"galaxygate/internal/session"
	"galaxygate/internal/upstream"
)

// The sizes of a page.
const (
	defaultPage  = 50
	activityPage = 20 // where it is not given
	maxPage      = 100
)

// page is a part of a list, in the list's order.
type page[T any] struct {
	list  string
	items []T
	keys  []string // of the items
	total int
	// before and after say whether there is more.
	before, after bool
}

// cursor is that of the item with that index.
func (p page[T]) cursor(i int) string { return writeCursor(p.list, p.keys[i]) }

// info says where the page lies.
func (p page[T]) info() *model.PageInfo {
	info := &model.PageInfo{HasNextPage: p.after, HasPreviousPage: p.before}
	if n := len(p.items); n > 0 {
		start, end := p.cursor(0), p.cursor(n-1)
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}

// paginate returns the page of at most first items whose keys come after the
// cursor's, by the Relay connection specification; the items come in the order of
// their keys. The list's name is part of its cursors, so that another list's is
// refused; a cursor holds a key and no position, so that it outlives the item. An
// error is of code BAD_USER_INPUT.
func paginate[T any](list string, items []T, key func(T) string, first *int, after *string) (page[T], error) {
	size, err := pageSize(first, defaultPage)
	if err != nil {
		return page[T]{}, err
	}
	begin := 0
	if after != nil {
		last, err := readCursor(list, *after)
		if err != nil {
			return page[T]{}, err
		}
		begin = sort.Search(len(items), func(i int) bool { return key(items[i]) > last })
	}
	end := min(begin+size, len(items))
	p := page[T]{list: list, items: items[begin:end], total: len(items), before: begin > 0, after: end < len(items)}
	p.keys = make([]string, len(p.items))
	for i, item := range p.items {
		p.keys[i] = key(item)
	}
	return p, nil
}

// byKey returns the items in the order of their keys.
func byKey[T any](items []T, key func(T) string) []T {
	return slices.SortedFunc(slices.Values(items), func(a, b T) int { return strings.Compare(key(a), key(b)) })
}

// pageSize returns first, or the standard where it is not given.
func pageSize(first *int, standard int) (int, error) {
	if first == nil {
		return standard, nil
	}
	if *first < 0 || *first > maxPage {
		return 0, badInput(fmt.Sprintf("first must be from 0 to %d.", maxPage))
	}
	return *first, nil
}

// cursorVersion begins every cursor.
const cursorVersion = "1"

func writeCursor(list, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + ":" + list + ":" + key))
}

func readCursor(list, cursor string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	key, ok := strings.CutPrefix(string(raw), cursorVersion+":"+list+":")
	if err != nil || !ok {
		return "", badInput("after is not a cursor of this list.")
	}
	return key, nil
}

// accountKey orders accounts by type and identifier, as upstream.Accounts are.
func accountKey(a upstream.Account) string { return a.Type + "\x00" + a.Identifier }

// sessionKey orders sessions by their beginning, newest first.
func sessionKey(s session.Session) string {
	return fmt.Sprintf("%019d %s", math.MaxInt64-s.CreatedAt.UnixMicro(), s.ID)
}

// activityList begins the cursors of activities, whose keys are the events' IDs.
const activityList = "activity"

// history returns the page of the user's activity. It is read page by page, as
// it may be long.
func (r *Resolver) history(ctx context.Context, userID string, first *int, after *string) (*model.ActivityConnection, error) {
	size, err := pageSize(first, activityPage)
	if err != nil {
		return nil, err
	}
	last := ""
	if after != nil {
		if last, err = readCursor(activityList, *after); err != nil {
			return nil, err
		}
	}
	events, err := r.Events.UserEvents(ctx, userID, last, size+1)
	if err != nil {
		return nil, err
	}
	return activityConnection(events, size, after), nil
}

// activityConnection is a page of at most size entries after the cursor, of
// events that hold one more where there is one.
func activityConnection(events []audit.Event, size int, after *string) *model.ActivityConnection {
	c := &model.ActivityConnection{PageInfo: &model.PageInfo{
		HasNextPage: len(events) > size, HasPreviousPage: after != nil,
	}}
	for _, e := range events[:min(size, len(events))] {
		node := toActivity(e)
		c.Nodes = append(c.Nodes, node)
		c.Edges = append(c.Edges, &model.ActivityEdge{Cursor: writeCursor(activityList, e.ID), Node: node})
	}
	if n := len(c.Edges); n > 0 {
		c.PageInfo.StartCursor, c.PageInfo.EndCursor = &c.Edges[0].Cursor, &c.Edges[n-1].Cursor
	}
	return c
}

func sessionConnection(p page[session.Session], current session.Session) *model.SessionConnection {
	c := &model.SessionConnection{PageInfo: p.info(), TotalCount: p.total}
	for i, item := range p.items {
		node := toSession(item, current)
		c.Nodes = append(c.Nodes, node)
		c.Edges = append(c.Edges, &model.SessionEdge{Cursor: p.cursor(i), Node: node})
	}
	return c
}

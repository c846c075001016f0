package graph

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"galaxygate/graph/model"
	"galaxygate/internal/plan"
	"galaxygate/internal/upstream"
)

// accounts is a page of all accounts as the field under way selects it. It is written
// at once, because a goroutine for each account and a resolver for each of its
// fields cost more than the rest of a warm request.
func (r *Resolver) accounts(ctx context.Context, p page[upstream.Account], all upstream.Accounts) *model.ConnectedAccountConnection {
	fc := graphql.GetFieldContext(ctx)
	w := accountsWriter{ctx: ctx, page: p, path: fc.Path()}
	w.shown = sync.OnceValues(func() (upstream.Shown, error) { return r.shown(ctx) })
	w.cards = sync.OnceValues(func() (upstream.Cards, error) {
		shown, err := w.shown()
		if err != nil {
			return upstream.Cards{}, err
		}
		urns := shown.URNs(all) // so that every list asks the same
		if len(urns) == 0 {
			return upstream.Cards{}, nil
		}
		return r.cards(ctx, urns)
	})
	w.connection(operationOf(ctx).plan.Tree(placeOf(fc)))
	if w.null {
		return nil
	}
	return &model.ConnectedAccountConnection{JSON: w.Bytes()}
}

// accountsWriter writes a page of accounts as JSON.
type accountsWriter struct {
	bytes.Buffer

	ctx   context.Context //nolint:containedctx // the field's, for as long as it is written
	page  page[upstream.Account]
	path  ast.Path
	shown func() (upstream.Shown, error)
	cards func() (upstream.Cards, error) // of all accounts
	null  bool                           // something that cannot be null has failed

	list, node string // what the response calls the list being written, and a node in it, which may be the element itself
}

// object writes the fields of a tree, each by write.
func (w *accountsWriter) object(typename string, t *plan.Tree, write func(plan.Branch)) {
	w.WriteByte('{')
	for i, b := range t.Fields {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteByte('"')
		w.WriteString(b.As) // a GraphQL name needs no escape
		w.WriteString(`":`)
		if b.Name == "__typename" {
			w.text(typename)
			continue
		}
		write(b)
	}
	w.WriteByte('}')
}

// each writes a list with an element for each account of the page.
func (w *accountsWriter) each(element func(i int)) {
	w.WriteByte('[')
	for i := range w.page.items {
		if i > 0 {
			w.WriteByte(',')
		}
		element(i)
	}
	w.WriteByte(']')
}

func (w *accountsWriter) text(s string) { graphql.MarshalString(s).MarshalGQL(w) }

func (w *accountsWriter) optional(s *string) {
	if s == nil {
		w.WriteString("null")
		return
	}
	w.text(*s)
}

func (w *accountsWriter) connection(t *plan.Tree) {
	w.object("ConnectedAccountConnection", t, func(b plan.Branch) {
		switch b.Name {
		case "edges":
			w.list = b.As
			w.each(func(i int) { w.edge(b.Tree, i) })
		case "nodes":
			w.list, w.node = b.As, ""
			w.each(func(i int) { w.account(b.Tree, i) })
		case "pageInfo":
			w.pageInfo(b.Tree)
		case "totalCount":
			w.WriteString(strconv.Itoa(w.page.total))
		}
	})
}

func (w *accountsWriter) edge(t *plan.Tree, i int) {
	w.object("ConnectedAccountEdge", t, func(b plan.Branch) {
		switch b.Name {
		case "cursor":
			w.text(w.page.cursor(i))
		case "node":
			w.node = b.As
			w.account(b.Tree, i)
		}
	})
}

func (w *accountsWriter) pageInfo(t *plan.Tree) {
	info := w.page.info()
	w.object("PageInfo", t, func(b plan.Branch) {
		switch b.Name {
		case "hasNextPage":
			w.WriteString(strconv.FormatBool(info.HasNextPage))
		case "hasPreviousPage":
			w.WriteString(strconv.FormatBool(info.HasPreviousPage))
		case "startCursor":
			w.optional(info.StartCursor)
		case "endCursor":
			w.optional(info.EndCursor)
		}
	})
}

// account writes the account with that index.
func (w *accountsWriter) account(t *plan.Tree, i int) {
	account := w.page.items[i]
	w.object("ConnectedAccount", t, func(b plan.Branch) {
		var err error
		switch b.Name {
		case "type":
			w.text(string(accountType(account.Type)))
		case "rawType":
			w.text(account.Type)
		case "identifier":
			w.text(account.Identifier)
		case "id":
			var shown upstream.Shown
			shown, err = w.shown()
			w.null = w.null || err != nil
			w.text(shown.ID(account))
		case "title", "icon":
			var value *string
			value, err = w.card(account, b.Name)
			w.optional(value)
		}
		w.failed(err, i, b.As)
	})
}

// card is the title or the icon of an account, nil where Galaxy does not show it.
func (w *accountsWriter) card(account upstream.Account, field string) (*string, error) {
	shown, err := w.shown()
	if err != nil || shown.URN(account) == "" {
		return nil, err
	}
	cards, err := w.cards()
	if err != nil {
		return nil, err
	}
	return cards.Of(shown.URN(account), field)
}

// failed reports an error of a field of the account with that index.
func (w *accountsWriter) failed(err error, i int, field string) {
	if err == nil {
		return
	}
	path := append(slices.Clone(w.path), ast.PathName(w.list), ast.PathIndex(i))
	if w.node != "" {
		path = append(path, ast.PathName(w.node))
	}
	graphql.AddError(w.ctx, &gqlerror.Error{Err: err, Path: append(path, ast.PathName(field))})
}

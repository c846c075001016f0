package devrollup

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
)

// ErrUnknown means that the directory has no such person or account.
var ErrUnknown = errors.New("not in the directory")

// Directory is who exists and what belongs to them, in memory. Passport and
// Galaxy share it. Safe for concurrent use; what it returns are copies.
type Directory struct {
	mu       sync.Mutex
	people   []Person
	forwards map[string]string // URNs and keys of merged identities → the URN of the other
	appData  map[appDataKey]json.RawMessage
}

type appDataKey struct{ person, clientID string }

// NewDirectory returns a directory of Alice and Bob.
func NewDirectory() *Directory {
	return &Directory{
		people:   []Person{alice(), bob()},
		forwards: map[string]string{},
		appData:  map[appDataKey]json.RawMessage{},
	}
}

// People returns everyone.
func (d *Directory) People() []Person {
	d.mu.Lock()
	defer d.mu.Unlock()
	people := make([]Person, len(d.people))
	for i := range d.people {
		people[i] = d.people[i].clone()
	}
	return people
}

// Person returns the person with that identity URN or key, or ErrUnknown.
func (d *Directory) Person(urnOrKey string) (Person, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.find(urnOrKey)
	if err != nil {
		return Person{}, err
	}
	return p.clone(), nil
}

// RemoveAccount disconnects the account with that URN or identifier from the
// person; ErrUnknown where it is not theirs.
func (d *Directory) RemoveAccount(person, account string) error {
	return d.updateAccount(person, account, func(p *Person, i int) {
		p.Accounts = slices.Delete(p.Accounts, i, i+1)
	})
}

// AddAccount connects an account to the person; ErrUnknown where there is no
// such person.
func (d *Directory) AddAccount(person string, account Account) error {
	return d.update(person, func(p *Person) { p.Accounts = append(p.Accounts, account) })
}

func (d *Directory) renameAccount(person, account, title string) error {
	return d.updateAccount(person, account, func(p *Person, i int) { p.Accounts[i].Title = title })
}

func (d *Directory) publishAccount(person, account string, public bool) error {
	return d.updateAccount(person, account, func(p *Person, i int) { p.Accounts[i].Public = public })
}

// authorizeApp records that the person lets an application in.
func (d *Directory) authorizeApp(person string, app App) error {
	return d.update(person, func(p *Person) {
		p.Apps = slices.DeleteFunc(p.Apps, func(a App) bool { return a.ClientID == app.ClientID })
		p.Apps = append(p.Apps, app)
	})
}

// revokeApp forgets the authorization and what the application stored.
func (d *Directory) revokeApp(person, clientID string) error {
	return d.update(person, func(p *Person) {
		p.Apps = slices.DeleteFunc(p.Apps, func(a App) bool { return a.ClientID == clientID })
		delete(d.appData, appDataKey{p.URN, clientID})
	})
}

// account returns the account with that URN and its owner, or ErrUnknown.
func (d *Directory) account(urn string) (Account, Person, error) {
	for _, p := range d.People() {
		if i := p.accountIndex(urn); i >= 0 {
			return p.Accounts[i], p, nil
		}
	}
	return Account{}, Person{}, ErrUnknown
}

// AppData returns what the application keeps with the person, nil where it
// keeps nothing.
func (d *Directory) AppData(person, clientID string) json.RawMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.appData[appDataKey{person, clientID}]
}

// SetAppData replaces what the application keeps with the person.
func (d *Directory) SetAppData(person, clientID string, data json.RawMessage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.appData[appDataKey{person, clientID}] = data
}

func (d *Directory) update(person string, change func(*Person)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.find(person)
	if err != nil {
		return err
	}
	change(p)
	return nil
}

func (d *Directory) updateAccount(person, account string, change func(p *Person, i int)) error {
	err := ErrUnknown
	updateErr := d.update(person, func(p *Person) {
		if i := p.accountIndex(account); i >= 0 {
			err = nil
			change(p, i)
		}
	})
	return errors.Join(err, updateErr)
}

// find needs the lock.
func (d *Directory) find(urnOrKey string) (*Person, error) {
	for next, ok := d.forwards[urnOrKey]; ok; next, ok = d.forwards[urnOrKey] {
		urnOrKey = next
	}
	for i := range d.people {
		if d.people[i].URN == urnOrKey || d.people[i].Key == urnOrKey {
			return &d.people[i], nil
		}
	}
	return nil, ErrUnknown
}

func (p Person) clone() Person {
	p.Accounts = slices.Clone(p.Accounts)
	p.Wallets = slices.Clone(p.Wallets)
	p.Apps = slices.Clone(p.Apps)
	return p
}

// accountIndex finds the account with that URN or identifier; -1: none.
func (p Person) accountIndex(urnOrIdentifier string) int {
	return slices.IndexFunc(p.Accounts, func(a Account) bool {
		return a.URN == urnOrIdentifier || strings.EqualFold(a.Identifier, urnOrIdentifier)
	})
}

package plan

import (
	"sync"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// The bounds of what a Planner remembers: operations, the bytes that their plans
// take, and plans for one of them, which differ by the variables of @skip and
// @include.
const (
	maxOperations = 1000
	maxWeight     = 64 << 20
	maxVariants   = 64
)

// Planner makes plans, each once.
type Planner struct {
	schema     *ast.Schema
	accounts   *Field
	operations *otter.Cache[*ast.OperationDefinition, *operation]
}

// New returns a planner for the gateway's schema.
func New(schema *ast.Schema) *Planner {
	return &Planner{
		schema:   schema,
		accounts: Accounts(),
		operations: otter.Must(&otter.Options[*ast.OperationDefinition, *operation]{
			MaximumWeight: maxWeight,
			Weigher: func(of *ast.OperationDefinition, o *operation) uint32 {
				return maxWeight/maxOperations + documentWeight(of) + o.weight.Load()
			},
		}),
	}
}

// byteWeight is how many bytes, about, the syntax tree of a document takes for each
// byte of its text, where the text is short for what it says; treeWeight is as much as
// one takes.
const (
	byteWeight = 80
	treeWeight = 2 << 20
)

// documentWeight is about how many bytes the operation's document takes, which is kept
// as long as the operation is.
func documentWeight(of *ast.OperationDefinition) uint32 {
	return uint32(min(len(of.Position.Src.Input)*byteWeight, treeWeight))
}

// operation is what is remembered of one.
type operation struct {
	variables []string // that decide what is in it
	weight    atomic.Uint32

	mu    sync.Mutex
	plans map[string]*Plan // by their values
}

// add keeps a plan, if need be instead of all others.
func (o *operation) add(values string, p *Plan) {
	weight := uint32(p.weight()) //nolint:gosec // of one operation
	if len(o.plans) < maxVariants {
		weight += o.weight.Load()
	} else {
		clear(o.plans)
	}
	o.plans[values] = p
	o.weight.Store(min(weight, maxWeight))
}

// Plan returns the plan of a valid operation with these variables, which are
// coerced already.
func (p *Planner) Plan(of *ast.OperationDefinition, variables map[string]any) *Plan {
	o, ok := p.operations.GetIfPresent(of)
	if !ok {
		o = &operation{variables: Conditions(of), plans: make(map[string]*Plan)}
	}
	values := make([]byte, len(o.variables))
	for i, name := range o.variables {
		if set, _ := variables[name].(bool); set {
			values[i] = 1
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	plan, ok := o.plans[string(values)]
	if !ok {
		plan = p.plan(of, variables)
		o.add(string(values), plan)
		p.operations.Set(of, o) // it weighs more
	}
	return plan
}

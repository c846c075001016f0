package document

import (
	"encoding/json"
	"reflect"

	"github.com/vektah/gqlparser/v2/ast"
)

// What the values of arguments count for. One variable may be the value of many, and
// be written many times into one that is JSON, so that little is sent and much is
// read.
const (
	// pricedBytes is how many bytes of an argument cost 1.
	pricedBytes = 256
	// valueBytes is what a value takes beside its text: about what it takes to read one.
	valueBytes = 8
	// smallBytes is as much as a variable counts for where it has less: what an
	// operation costs is the same, as long as its variables are small.
	smallBytes = 128
)

// largeVariables returns how many bytes the variables have that are not small.
func largeVariables(variables map[string]any) map[string]int64 {
	var large map[string]int64
	for name, value := range variables {
		if n := bytesOf(value); n > smallBytes {
			if large == nil {
				large = make(map[string]int64)
			}
			large[name] = n
		}
	}
	return large
}

// bytesOf is about how many bytes a value has that was coerced.
func bytesOf(value any) int64 {
	sum := int64(valueBytes)
	switch v := value.(type) {
	case string:
		sum = plus(sum, int64(len(v)))
	case []any:
		for _, element := range v {
			sum = plus(sum, bytesOf(element))
		}
	case map[string]any:
		for name, member := range v {
			sum = plus(sum, plus(int64(len(name)), bytesOf(member)))
		}
	case json.Number:
		sum = plus(sum, int64(len(v)))
	default: // a list of one, which the parser makes of a value without brackets
		if of := reflect.ValueOf(v); of.Kind() == reflect.Slice {
			for i := range of.Len() {
				sum = plus(sum, bytesOf(of.Index(i).Interface()))
			}
		}
	}
	return sum
}

// written is what the arguments cost by their length.
func (m *measurer) written(arguments ast.ArgumentList) int64 {
	var cost int64
	for _, a := range arguments {
		cost = plus(cost, m.bytes(a.Value)/pricedBytes)
	}
	return cost
}

func (m *measurer) bytes(value *ast.Value) int64 {
	if value.Kind == ast.Variable {
		return max(smallBytes, m.large[value.Raw])
	}
	sum := int64(valueBytes + len(value.Raw))
	for _, child := range value.Children {
		sum = plus(sum, plus(int64(len(child.Name)), m.bytes(child.Value)))
	}
	return sum
}
